import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset_assets.images.codec import decode
from dataset_assets.images.header import ImageHeader, read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause
from dataset_assets_tests.images import images
from dataset_assets_tests.images.images import Pixels, chunk, file, photo, pillow, psnr

PHOTO = photo(64, 48)
GRAY = photo(64, 48, 1)
BLACK = Image.new("RGB", (64, 48))


def decoded(body: bytes) -> Pixels:
    return decode(body, read_header(body))[0]


@pytest.mark.parametrize(
    "body",
    [
        file(PHOTO, "png"),
        pillow(PHOTO, "WEBP", lossless=True),
        pillow(PHOTO, "BMP"),
        pillow(PHOTO, "TIFF"),
        file(PHOTO, "tiff"),
        pillow(PHOTO, "JPEG2000"),
        pillow(PHOTO, "JPEG2000", no_jp2=True),
        pillow(PHOTO, "PPM"),
        file(PHOTO, "ras"),
    ],
)
def test_pixels_are_the_stored_ones_when_the_format_is_lossless(body: bytes) -> None:
    image, flattened = decode(body, read_header(body))
    np.testing.assert_array_equal(image, PHOTO)
    assert image.flags.c_contiguous
    assert not flattened


@pytest.mark.parametrize(
    ("body", "decibel"),
    [
        (file(PHOTO, "jpg"), 30),
        (pillow(PHOTO, "JPEG", quality=95, progressive=True), 30),
        (pillow(PHOTO, "JPEG", "CMYK", quality=95), 30),
        (pillow(PHOTO, "GIF"), 28),
        (pillow(PHOTO, "AVIF", quality=95), 30),
        (pillow(PHOTO, "AVIF", quality=95, save_all=True, append_images=[BLACK]), 30),
    ],
)
def test_pixels_are_close_when_the_format_is_lossy(body: bytes, decibel: float) -> None:
    assert psnr(decoded(body), PHOTO) > decibel


@pytest.mark.parametrize(
    "body",
    [
        file(GRAY, "png"),
        pillow(GRAY, "TIFF", "L"),
        pillow(GRAY, "BMP", "L"),
        pillow(GRAY, "JPEG2000", "L"),
        pillow(GRAY, "PPM", "L"),
        b"P2 64 48 255 " + b" ".join(b"%d" % value for value in GRAY.ravel()),
    ],
)
def test_gray_stays_gray_when_the_image_has_one_channel(body: bytes) -> None:
    np.testing.assert_array_equal(decoded(body), GRAY)


def test_a_palette_becomes_color_when_the_image_has_one() -> None:
    body = pillow(PHOTO, "PNG", "P")
    expected = np.array(Image.open(images.BytesIO(body)).convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(decoded(body), expected)


def test_one_bit_becomes_black_and_white_when_the_image_has_no_more() -> None:
    assert set(np.unique(decoded(pillow(GRAY, "PNG", "1")))) == {0, 255}


@pytest.mark.parametrize("image", [GRAY, PHOTO])
@pytest.mark.parametrize("extension", ["png", "tiff"])
def test_sixteen_bits_are_scaled_to_eight_when_the_image_has_them(
    image: Pixels, extension: str
) -> None:
    np.testing.assert_array_equal(decoded(file(image.astype(np.uint16) * 257, extension)), image)
    rounded = decoded(file(np.array([[0, 128, 129, 65_535]], np.uint16), "png"))
    np.testing.assert_array_equal(rounded, [[0, 0, 1, 255]])


def of_depth(image: Pixels, extension: str, bits: int) -> bytes:
    """Encode an image with values of 0 to 2 ** bits - 1."""
    largest = 2**bits - 1
    kind = np.uint16 if bits > 8 else np.uint8
    deep = np.rint(image.astype(float) * largest / 255).astype(kind)
    if extension == "avif":
        return file(deep, "avif", cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 95)
    head = b"P6\n# deep\n%d %d\n%d\n" % (image.shape[1], image.shape[0], largest)
    return head + deep[..., ::-1].astype(">u2" if bits > 8 else "u1").tobytes()


@pytest.mark.parametrize(
    ("extension", "bits"),
    [("avif", 8), ("avif", 10), ("avif", 12), ("ppm", 6), ("ppm", 8), ("ppm", 10), ("ppm", 16)],
)
def test_any_depth_is_scaled_to_eight_bits_when_the_image_has_it(extension: str, bits: int) -> None:
    assert psnr(decoded(of_depth(PHOTO, extension, bits)), PHOTO) > 28


def test_sixteen_bits_of_jpeg_2000_are_scaled_to_eight() -> None:
    buffer = images.BytesIO()
    Image.fromarray(GRAY.astype(np.uint16) * 257).save(buffer, "JPEG2000")
    np.testing.assert_array_equal(decoded(buffer.getvalue()), GRAY)


@pytest.mark.parametrize(
    "body",
    [
        pillow(PHOTO, "AVIF"),
        pillow(PHOTO, "JPEG2000"),
        pillow(PHOTO, "JPEG2000", no_jp2=True),
        pillow(PHOTO, "PPM"),
        pillow(PHOTO, "PPM", "1"),
        b"P2 64 48 255 " + b" ".join(b"%d" % value for value in GRAY.ravel()),
        file(PHOTO, "ras"),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_file_is_refused_when_its_format_is_rare(body: bytes, share: float) -> None:
    with pytest.raises(RefusedImage):
        decoded(body[: int(len(body) * share)])


def test_alpha_is_composed_on_white_exactly_when_the_image_has_it() -> None:
    alpha, color = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    body = file(np.dstack([color, color[::-1], 255 - color, alpha]), "png")
    image, flattened = decode(body, read_header(body))
    assert flattened
    weight = alpha[..., None].astype(float)
    expected = np.rint(weight / 255 * np.dstack([color, color[::-1], 255 - color]) + 255 - weight)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        ("PNG", "LA"),
        ("PNG", "RGBA"),
        ("WEBP", "RGBA"),
        ("TIFF", "RGBA"),
        ("AVIF", "RGBA"),
        ("JPEG2000", "RGBA"),
        ("JPEG2000", "LA"),
    ],
)
def test_the_image_is_white_when_it_is_transparent(file_format: str, mode: str) -> None:
    buffer = images.BytesIO()
    Image.new(mode, (5, 4)).save(buffer, file_format, lossless=True)
    np.testing.assert_array_equal(decoded(buffer.getvalue()), np.full((4, 5, 3), 255))


@pytest.mark.parametrize("transparency", [(255, 255, 255), None])
def test_a_transparent_color_becomes_white_when_a_gif_or_png_names_one(
    transparency: tuple[int, ...] | None,
) -> None:
    image = Image.new("RGB", (4, 4), (10, 20, 30))
    image.putpixel((1, 2), (255, 255, 255))
    buffer = images.BytesIO()
    if transparency:
        image.save(buffer, "PNG", transparency=transparency)
    else:
        image.quantize(4).save(buffer, "GIF", transparency=image.quantize(4).getpixel((0, 0)))
    result = decoded(buffer.getvalue())
    np.testing.assert_array_equal(result[2, 1], [255, 255, 255])
    np.testing.assert_array_equal(result[0, 0], [30, 20, 10] if transparency else [255, 255, 255])


def test_sixteen_bit_alpha_is_composed_when_the_image_has_it() -> None:
    image = np.zeros((2, 2, 4), np.uint16)
    image[0, 0] = (0, 0, 65_535, 65_535)
    result = decoded(file(image, "png"))
    np.testing.assert_array_equal(result[0], [[0, 0, 255], [255, 255, 255]])


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_is_taken_when_the_image_moves(file_format: str) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    buffer = images.BytesIO()
    frames[0].save(
        buffer, file_format, save_all=True, append_images=frames[1:], duration=50, lossless=True
    )
    np.testing.assert_array_equal(decoded(buffer.getvalue()), np.full((10, 20, 3), (0, 0, 255)))


@pytest.mark.parametrize("filter_byte", [0, 9])
def test_the_still_picture_is_taken_when_the_animation_of_a_png_is_damaged(
    filter_byte: int,
) -> None:
    """OpenCV 5.0.0 ends the process on a filter byte that does not exist in a later frame."""
    control = struct.pack(">IIIIIHHBB", 1, 8, 4, 0, 0, 1, 10, 0, 0)
    frame = struct.pack(">I", 2) + zlib.compress(bytes([filter_byte, 0]) * 4)
    body = images.png(
        8,
        4,
        before=[(b"acTL", struct.pack(">II", 2, 0))],
        after=[(b"fcTL", control), (b"fdAT", frame)],
    )
    np.testing.assert_array_equal(decoded(body), np.zeros((4, 8)))


def test_orientation_is_left_alone_when_exif_turns_the_image() -> None:
    turn = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    plain = file(PHOTO, "jpg")
    np.testing.assert_array_equal(decoded(images.with_exif(plain, turn)), decoded(plain))


@pytest.mark.parametrize("times", [2, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_sides_are_divided_and_rounded_up_when_a_jpeg_is_reduced(times: int, channels: int) -> None:
    turn = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    original = photo(301, 203, channels)
    body = images.with_exif(file(original, "jpg"), turn)
    image, _ = decode(body, read_header(body), reduction=times)
    assert image.shape[:2] == (-(-203 // times), -(-301 // times))
    assert image.ndim == original.ndim


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 400])
@pytest.mark.parametrize(
    "body",
    [
        pillow(PHOTO, "JPEG"),
        pillow(PHOTO, "JPEG", progressive=True),
        pillow(PHOTO, "PNG"),
        pillow(PHOTO, "WEBP"),
        pillow(PHOTO, "WEBP", lossless=True),
    ],
    ids=["jpeg", "progressive", "png", "webp", "webp-lossless"],
)
def test_the_image_is_refused_when_its_end_is_missing(body: bytes, cut: int) -> None:
    with pytest.raises(RefusedImage) as caught:
        decoded(body[:-cut])
    assert caught.value.cause == Cause.DECODE_ERROR
    assert str(caught.value) == "Image decoding error"


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "TIFF"])
def test_the_image_is_refused_when_half_of_it_is_missing(file_format: str) -> None:
    body = pillow(PHOTO, file_format)
    with pytest.raises(RefusedImage):
        decoded(body[: len(body) // 2])


def test_the_image_is_refused_when_a_byte_of_a_png_is_flipped() -> None:
    body = bytearray(file(PHOTO, "png"))
    body[len(body) // 2] ^= 0xFF
    with pytest.raises(RefusedImage):
        decoded(bytes(body))


def test_the_image_is_refused_when_a_chunk_claims_gigabytes() -> None:
    body = images.png(8, 4)
    position = body.index(b"IDAT") - 4
    with pytest.raises(RefusedImage):
        read_header(body[:position] + chunk(b"IDAT", b"", length=0xF000_0000) + body[position:])


def test_the_image_is_refused_when_its_pixels_have_another_size_than_its_header() -> None:
    with pytest.raises(RefusedImage):
        decode(file(PHOTO, "jpg"), ImageHeader("jpeg", 65, 48))


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_pillow_decodes_silently_when_opencv_can_not(
    compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = pillow(PHOTO, "TIFF", compression=compression)
    assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48 - 1)  # Pillow would warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(decoded(body), PHOTO)


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("L", 1), ("1", 1), ("I;16", 1), ("RGBA", 3), ("LA", 3), ("CMYK", 3), ("P", 3)],
)
def test_pillow_gives_the_same_kinds_of_pixels_when_it_stands_in(mode: str, channels: int) -> None:
    picture = (
        Image.fromarray(GRAY.astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(GRAY).convert(mode)
    )
    buffer = images.BytesIO()
    picture.save(buffer, "TIFF", compression="zstd")
    image = decoded(buffer.getvalue())
    assert image.dtype == np.uint8
    assert image.shape == ((48, 64) if channels == 1 else (48, 64, 3))
    if mode not in ("1", "P"):
        assert psnr(image if channels == 1 else image[..., 0], GRAY) > 45


def test_the_image_is_refused_when_its_pixels_are_fractions() -> None:
    body = file(np.ones((4, 4), np.float32), "tiff")
    with pytest.raises(RefusedImage) as caught:
        decode(body, ImageHeader("tiff", 4, 4))
    assert (caught.value.cause, str(caught.value)) == (Cause.UNSUPPORTED_FORMAT, "float32 pixels")
    with pytest.raises(RefusedImage) as caught:
        read_header(body)
    assert (caught.value.cause, str(caught.value)) == (
        Cause.UNSUPPORTED_FORMAT,
        "image/tiff of more than 16 bits",
    )
