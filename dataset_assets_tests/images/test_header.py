import struct
import time

import pytest
from PIL import Image

from dataset_assets.images.header import ImageHeader, count_trailing_bytes, read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause
from dataset_assets_tests.images import images

PHOTO = images.photo(31, 17)
NEW = ("AVIF", "JPEG2000", "PPM")
BLACK = Image.new("RGB", (31, 17))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (images.file(PHOTO, "jpg"), "jpeg"),
        (images.pillow(PHOTO, "JPEG", progressive=True), "jpeg"),
        (images.pillow(PHOTO, "JPEG", "CMYK"), "jpeg"),
        (images.file(PHOTO, "png"), "png"),
        (images.pillow(PHOTO, "WEBP"), "webp"),
        (images.pillow(PHOTO, "WEBP", lossless=True), "webp"),
        (images.pillow(PHOTO, "WEBP", "RGBA", exif=b"Exif\0\0II*\0"), "webp"),
        (images.pillow(PHOTO, "GIF"), "gif"),
        (images.pillow(PHOTO, "BMP"), "bmp"),
        (images.pillow(PHOTO, "TIFF"), "tiff"),
        (images.pillow(PHOTO, "TIFF", big_tiff=False, compression="tiff_lzw"), "tiff"),
        (images.pillow(PHOTO, "AVIF"), "avif"),
        (images.pillow(PHOTO, "AVIF", "RGBA"), "avif"),
        (images.pillow(PHOTO, "AVIF", save_all=True, append_images=[BLACK]), "avif"),
        (images.pillow(PHOTO, "AVIF").replace(b"ftypavif", b"ftypmif1", 1), "avif"),
        (images.pillow(PHOTO, "JPEG2000"), "jp2"),
        (images.pillow(PHOTO, "JPEG2000", no_jp2=True), "jp2"),
        (images.pillow(PHOTO, "PPM"), "ppm"),
        (images.pillow(PHOTO, "PPM", "L"), "ppm"),
        (images.pillow(PHOTO, "PPM", "1"), "ppm"),
        (b"P6#a\n# b 9\n31 #c\r\n17\n255\n" + bytes(3 * 31 * 17), "ppm"),
        (images.file(PHOTO, "ras"), "ras"),
    ],
)
def test_format_and_size_are_read_when_the_body_is_an_image(body: bytes, expected: str) -> None:
    header = read_header(body)
    assert (header.format, header.width, header.height) == (expected, 31, 17)


def test_size_is_read_when_a_bitmap_is_old_or_stored_from_the_top() -> None:
    body = bytearray(images.pillow(PHOTO, "BMP"))
    struct.pack_into("<i", body, 22, -17)
    assert read_header(bytes(body)) == ImageHeader("bmp", 31, 17)
    core = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 31, 17, 1, 24)
    assert read_header(core) == ImageHeader("bmp", 31, 17)


def test_size_is_read_when_segments_and_fill_bytes_stand_before_the_frame() -> None:
    body = images.file(PHOTO, "jpg")
    extra = (
        b"\xff\xfe\x00\x06\xff\xc0ab" + b"\xff\xff\xff\xe2\x00\x04\xff\xd9"
    )  # a comment and a profile that hold marker bytes
    assert read_header(body[:2] + extra + body[2:]) == ImageHeader("jpeg", 31, 17, channels=3)


@pytest.mark.parametrize(("channels", "expected"), [(1, 1), (3, 3)])
def test_channels_are_read_when_the_image_is_a_jpeg(channels: int, expected: int) -> None:
    assert read_header(images.file(images.photo(8, 8, channels), "jpg")).channels == expected


@pytest.mark.parametrize(
    ("body", "cause", "message"),
    [
        (b"<!DOCTYPE html><html>", Cause.NOT_IMAGE, "text/html"),
        (b"\xef\xbb\xbf\n <!-- x -->\n<HTML>", Cause.NOT_IMAGE, "text/html"),
        (b"<html><svg></svg>", Cause.NOT_IMAGE, "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", Cause.UNSUPPORTED_FORMAT, "image/svg+xml"),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<svg>", Cause.UNSUPPORTED_FORMAT, "image/svg+xml"),
        (b"<?xml version='1.0'?><Error>", Cause.NOT_IMAGE, "text/xml"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", Cause.UNSUPPORTED_FORMAT, "application/postscript"),
        (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", Cause.UNSUPPORTED_FORMAT, "application/postscript"),
        (b"8BPS\0\1", Cause.UNSUPPORTED_FORMAT, "image/vnd.adobe.photoshop"),
        (b"%PDF-1.7", Cause.UNSUPPORTED_FORMAT, "application/pdf"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Cause.UNSUPPORTED_FORMAT, "image/heic"),
        (b"P7\nWIDTH 2\n", Cause.UNSUPPORTED_FORMAT, "image/x-portable-arbitrarymap"),
        (b"PF\n2 2\n-1.0\n", Cause.UNSUPPORTED_FORMAT, "image/x-portable-floatmap"),
        (b"#?RADIANCE\n", Cause.UNSUPPORTED_FORMAT, "image/vnd.radiance"),
        (b"P1 is the first of two parts.", Cause.NOT_IMAGE, "text/plain"),
        (b"P6 # of a comment without end", Cause.NOT_IMAGE, "text/plain"),
        (images.pillow(PHOTO, "ICO"), Cause.UNSUPPORTED_FORMAT, "image/x-icon"),
        (b'{"error": "not found"}', Cause.NOT_IMAGE, "application/json"),
        (b"PK\x03\x04", Cause.NOT_IMAGE, "application/zip"),
        (b"\0\0\0\x20ftypisom", Cause.NOT_IMAGE, "video/mp4"),
        (b"Access to this image is denied.", Cause.NOT_IMAGE, "text/plain"),
        (bytes(range(128, 160)), Cause.NOT_IMAGE, "unknown content"),
        (b" " * 10_000_000, Cause.NOT_IMAGE, "text/plain"),
    ],
)
def test_content_is_named_when_it_is_no_image_we_read(
    body: bytes, cause: Cause, message: str
) -> None:
    with pytest.raises(RefusedImage) as caught:
        read_header(body)
    assert (caught.value.cause, str(caught.value)) == (cause, message)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *NEW])
def test_every_cut_is_a_header_or_a_refusal_when_the_file_ends_early(file_format: str) -> None:
    body = images.pillow(PHOTO, file_format)
    for end in range(min(len(body), 700)):
        try:
            header = read_header(body[:end])
        except RefusedImage as refusal:
            assert refusal.cause in (Cause.DECODE_ERROR, Cause.NOT_IMAGE, Cause.UNSUPPORTED_FORMAT)  # noqa: PT017
        else:
            assert (header.width, header.height) == (31, 17)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xd8\xff" + b"\xff" * 20_000_000,
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 5_000_000,
        b"\x89PNG\r\n\x1a\n"
        + images.chunk(b"IHDR", bytes(13))
        + images.chunk(b"tEXt", b"") * 2_000_000,
        b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 1_000_000,
        b"\0\0\0\x14ftypavif\0\0\0\0mif1" + b"\0\0\0\x08free" * 2_000_000,
        b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\0" * 5_000_000,
        b"P6" + b"#\n " * 5_000_000,
        b"P6 " + b"1" * 5_000_000,
    ],
)
def test_a_header_is_refused_quickly_when_it_is_endless(body: bytes) -> None:
    start = time.process_time()
    with pytest.raises(RefusedImage):
        read_header(body)
    assert time.process_time() - start < 0.5


def test_an_image_without_area_is_refused_when_its_header_says_so() -> None:
    with pytest.raises(RefusedImage) as caught:
        read_header(b"GIF89a" + bytes(20))
    assert caught.value.cause == Cause.DECODE_ERROR


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_bytes_behind_the_image_are_counted_when_there_are_some(file_format: str) -> None:
    body = images.pillow(PHOTO, file_format)
    name = file_format.lower()
    assert count_trailing_bytes(body, name) == 0
    assert count_trailing_bytes(body + b"<html></html>", name) == 13


def tiff(**tags: int) -> bytes:
    """A TIFF directory of whole numbers, without pixels."""
    numbers = {"width": 256, "height": 257, "bits": 258, "tile_width": 322, "tile_height": 323}
    entries = b"".join(
        struct.pack(">HHII", numbers[name], 4, 1, value) for name, value in tags.items()
    )
    return b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)


def test_tiff_tags_are_read_when_the_byte_order_is_the_other_one() -> None:
    assert read_header(tiff(width=31, height=17)) == ImageHeader("tiff", 31, 17, has_exif=True)
    assert (
        read_header(tiff(width=31, height=17, bits=16, tile_width=1024, tile_height=1024)).width
        == 31
    )


@pytest.mark.parametrize(
    ("tags", "cause"),
    [
        ({"bits": 32}, Cause.UNSUPPORTED_FORMAT),
        (
            {"tile_width": 16_384, "tile_height": 16_384},
            Cause.DECODE_ERROR,
        ),  # a gigabyte for OpenCV
    ],
)
def test_a_tiff_is_refused_when_decoding_it_would_take_memory_beyond_its_size(
    tags: dict[str, int], cause: Cause
) -> None:
    with pytest.raises(RefusedImage) as caught:
        read_header(tiff(width=10, height=10, **tags))
    assert caught.value.cause == cause
