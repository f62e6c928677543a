import json
import pickle
import random
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset_assets.images import codec
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.transform import ImageTransform
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Media
from dataset_assets_tests.images import images
from dataset_assets_tests.images.images import file, photo, pillow, pixels, png, psnr

JPEG = file(photo(200, 120), "jpg")


def transform(body: bytes, **options: Any) -> Media:
    return ImageTransform(ImageOptions(**options)).run(body)


@pytest.mark.parametrize(
    ("mode", "size"),
    [
        ("no", (200, 120)),
        ("keep_ratio", (107, 64)),
        ("center_crop", (64, 64)),
        ("border", (64, 64)),
        ("keep_ratio_largest", (64, 38)),
    ],
)
def test_the_stored_image_has_the_size_it_says_when_a_mode_is_chosen(
    mode: str, size: tuple[int, int]
) -> None:
    media = transform(JPEG, image_size=64, resize_mode=mode)
    assert media.cause is None
    assert (media.width, media.height) == size
    assert (media.original_width, media.original_height) == (200, 120)
    assert (media.extension, media.exif, media.message) == ("jpg", "{}", None)
    assert pixels(media.payload or b"").shape == (size[1], size[0], 3)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("encode_format", ["jpg", "png", "webp"])
def test_every_format_becomes_every_format_when_asked(file_format: str, encode_format: str) -> None:
    source = photo(90, 70)
    media = transform(
        pillow(source, file_format),
        resize_mode="no",
        encode_format=encode_format,
        encode_quality=9 if encode_format == "png" else 95,
    )
    assert media.extension == encode_format
    stored = Image.open(images.BytesIO(media.payload or b""))
    assert stored.format == {"jpg": "JPEG"}.get(encode_format, encode_format.upper())
    assert psnr(pixels(media.payload or b""), source) > 25


@pytest.mark.parametrize(
    ("options", "cause", "message"),
    [
        ({"min_image_size": 121}, Cause.IMAGE_TOO_SMALL, "image too small"),
        ({"max_image_area": 23_999}, Cause.IMAGE_AREA_TOO_LARGE, "image area too large"),
        ({"max_aspect_ratio": 1.66}, Cause.ASPECT_RATIO_TOO_LARGE, "aspect ratio too large"),
        ({"max_pixels": 23_999}, Cause.TOO_MANY_PIXELS, "too many pixels"),
        ({"formats": ("png", "webp")}, Cause.UNSUPPORTED_FORMAT, "image/jpeg"),
    ],
)
def test_the_image_is_refused_before_it_is_decoded_when_a_limit_is_passed(
    options: dict[str, Any], cause: Cause, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec.cv2, "imdecode", None)
    assert transform(JPEG, **options) == Media(cause=cause, message=message)


@pytest.mark.parametrize(
    "options",
    [
        {"min_image_size": 120},
        {"max_image_area": 24_000},
        {"max_aspect_ratio": 200 / 120},
        {"max_pixels": 24_000},
    ],
)
def test_the_image_is_stored_when_it_is_exactly_at_a_limit(options: dict[str, Any]) -> None:
    assert transform(JPEG, resize_mode="no", **options).cause is None


@pytest.mark.parametrize("side", [12_000, 20_000])
def test_memory_stays_small_when_a_small_file_is_a_huge_image(side: int) -> None:
    body = png(side, side)
    assert len(body) < 400_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert transform(body).cause == Cause.TOO_MANY_PIXELS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_the_image_is_refused_when_it_would_grow_beyond_the_limit() -> None:
    line = file(np.zeros((60_000, 1, 3), np.uint8), "png")
    assert transform(line, resize_mode="keep_ratio").cause == Cause.TOO_MANY_PIXELS
    assert transform(line, resize_mode="border").cause is None


def test_only_the_first_frame_is_looked_at_when_a_gif_has_thousands() -> None:
    frames = [Image.new("L", (40, 30), level % 256) for level in range(10_000)]
    buffer = images.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], optimize=False)
    media = transform(buffer.getvalue(), resize_mode="no")
    assert (media.width, media.height, media.cause) == (40, 30, None)
    assert pixels(media.payload or b"").max() == 0


@pytest.mark.parametrize(
    ("body", "cause", "message"),
    [
        (b"", Cause.EMPTY_BODY, "empty body"),
        (JPEG[:-1], Cause.DECODE_ERROR, "Image decoding error"),
        (JPEG[: len(JPEG) // 2], Cause.DECODE_ERROR, "Image decoding error"),
        (b"<!doctype html><title>404</title>", Cause.NOT_IMAGE, "text/html"),
        (b"<svg></svg>", Cause.UNSUPPORTED_FORMAT, "image/svg+xml"),
    ],
)
def test_the_cause_is_told_when_a_body_is_no_whole_image(
    body: bytes, cause: Cause, message: str
) -> None:
    assert transform(body) == Media(cause=cause, message=message)


def test_the_image_is_stored_when_a_byte_of_a_jpeg_is_flipped() -> None:
    body = bytearray(JPEG)
    body[len(body) // 2] ^= 0x10  # nothing in a JPEG tells; only a hash of the file can
    assert transform(bytes(body)).cause is None


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_an_image_or_a_cause_comes_back_when_bytes_are_changed_at_random(file_format: str) -> None:
    intact = pillow(photo(40, 30), file_format)
    changing = random.Random(file_format)
    shared = ImageTransform(ImageOptions(image_size=16, max_pixels=1_000_000))
    for _ in range(300):
        body = bytearray(intact)
        for _ in range(changing.choice((1, 2, 8))):
            position = changing.randrange(min(len(body), changing.choice((60, 400, len(body)))))
            body[position : position + changing.choice((1, 1, 4))] = changing.choice(
                (b"\0", b"\xff", b"\xff\xff\xff\xff", changing.randbytes(2))
            )
        media = shared.run(bytes(body))
        assert (media.payload is None) == (media.cause is not None)


def test_a_cause_comes_back_when_anything_unexpected_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("dataset_assets.images.transform.scale", fail)
    assert transform(JPEG).cause == Cause.DECODE_ERROR


def test_trailing_bytes_are_flagged_and_left_out_when_a_web_page_follows_the_image() -> None:
    media = transform(JPEG + b"<html><script></script></html>")
    assert media.cause is None
    assert media.trailing_bytes == 30
    assert b"script" not in (media.payload or b"")
    assert transform(JPEG).trailing_bytes == 0


@pytest.mark.parametrize(
    ("body", "options", "kept"),
    [
        (JPEG, {"resize_mode": "no"}, True),
        (JPEG, {"resize_mode": "keep_ratio_largest", "image_size": 200}, True),
        (JPEG, {"resize_mode": "border", "image_size": 300, "resize_only_if_bigger": True}, True),
        (JPEG, {"resize_mode": "border", "image_size": 300}, False),
        (JPEG, {"resize_mode": "keep_ratio", "image_size": 100}, False),
        (JPEG, {"resize_mode": "no", "encode_format": "png", "encode_quality": 3}, False),
        (
            pillow(photo(9, 9), "PNG"),
            {"resize_mode": "no", "encode_format": "png", "encode_quality": 3},
            True,
        ),
        (
            pillow(photo(9, 9), "PNG", "RGBA"),
            {"resize_mode": "no", "encode_format": "png", "encode_quality": 3},
            False,
        ),
        (pillow(photo(9, 9), "WEBP"), {"resize_mode": "no", "encode_format": "webp"}, True),
    ],
)
def test_bytes_are_kept_when_skip_reencode_finds_nothing_to_change(
    body: bytes, options: dict[str, Any], kept: bool
) -> None:
    media = transform(body, skip_reencode=True, **options)
    assert media.cause is None
    assert (media.payload == body) == kept


def test_the_image_is_encoded_when_skip_reencode_meets_a_blurred_box() -> None:
    options = ImageOptions(skip_reencode=True, resize_mode="no")
    assert ImageTransform(options).run(JPEG, bboxes=[[0.1, 0.1, 0.9, 0.9]]).payload != JPEG
    assert ImageTransform(options).run(JPEG, bboxes=[]).payload == JPEG


def test_a_truncated_image_is_refused_when_skip_reencode_would_keep_it() -> None:
    assert transform(JPEG[:-2], skip_reencode=True, resize_mode="no").cause == Cause.DECODE_ERROR


@pytest.mark.parametrize("body", [JPEG, JPEG[:100], b"<html>", b"anything"])
def test_everything_is_kept_when_all_reencoding_is_off(body: bytes) -> None:
    media = transform(body, disable_all_reencoding=True, encode_format="webp")
    assert (media.payload, media.extension, media.width, media.original_width, media.cause) == (
        body,
        "webp",
        None,
        None,
        None,
    )
    assert transform(b"", disable_all_reencoding=True).cause == Cause.EMPTY_BODY


def test_boxes_are_refused_when_all_reencoding_is_off() -> None:
    media = ImageTransform(ImageOptions(disable_all_reencoding=True)).run(
        JPEG, bboxes=[[0, 0, 1, 1]]
    )
    assert (media.payload, media.cause) == (None, Cause.INVALID_BBOX)


@pytest.mark.parametrize("mode", ["no", "center_crop", "border"])
def test_boxes_are_blurred_where_they_are_when_the_image_is_scaled_too(mode: str) -> None:
    options = ImageOptions(resize_mode=mode, image_size=100, encode_format="png", encode_quality=1)
    plain, blurred = (
        pixels(ImageTransform(options).run(JPEG, bboxes=boxes).payload or b"")
        for boxes in (None, [[0.4, 0.3, 0.6, 0.7]])
    )
    changed = np.argwhere((plain != blurred).any(axis=2))
    middle = changed.mean(axis=0) / plain.shape[:2]
    assert np.abs(middle - 0.5).max() < 0.1
    assert 0.02 < len(changed) / (plain.shape[0] * plain.shape[1]) < 0.5


def test_the_cause_is_told_when_a_box_makes_no_sense() -> None:
    assert ImageTransform(ImageOptions()).run(JPEG, bboxes=[[5, 5, 90, 90]]) == Media(
        cause=Cause.INVALID_BBOX, message="invalid bounding box"
    )


def test_exif_is_read_when_it_is_asked_for() -> None:
    turn = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    body = images.with_exif(JPEG, turn)
    assert json.loads(transform(body).exif or "") == {"Image Orientation": "Rotated 90 CW"}
    assert json.loads(transform(body, disable_all_reencoding=True).exif or "") == {
        "Image Orientation": "Rotated 90 CW"
    }
    assert transform(body, extract_exif=False).exif is None


@pytest.mark.parametrize("source", [photo(1600, 1200), photo(1600, 1200, 1)], ids=["color", "gray"])
def test_pixels_are_nearly_the_same_when_the_decoder_shrinks_too(
    source: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = file(source, "jpg")
    options = {
        "image_size": 200,
        "resize_mode": "keep_ratio",
        "encode_format": "png",
        "encode_quality": 1,
    }
    exact = transform(body, **options)
    flags = []
    decoder = cv2.imdecode
    monkeypatch.setattr(
        codec.cv2, "imdecode", lambda data, flag: flags.append(flag) or decoder(data, flag)
    )
    scaled = transform(body, scaled_decode=True, **options)
    reduced = cv2.IMREAD_REDUCED_COLOR_2 if source.ndim == 3 else cv2.IMREAD_REDUCED_GRAYSCALE_2
    assert flags == [reduced | cv2.IMREAD_IGNORE_ORIENTATION]
    assert (scaled.width, scaled.height, scaled.original_width, scaled.original_height) == (
        267,
        200,
        1600,
        1200,
    )
    assert psnr(pixels(scaled.payload or b""), pixels(exact.payload or b"")) > 40


def test_the_results_are_the_same_when_threads_share_a_transform() -> None:
    bodies = [
        file(photo(300 + 7 * index, 200 + 5 * index, 1 + 2 * (index % 2)), "jpg")
        for index in range(24)
    ]
    shared = ImageTransform(ImageOptions(image_size=128, resize_mode="keep_ratio"))
    alone = [shared.run(body) for body in bodies]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            assert list(pool.map(shared.run, bodies)) == alone


def test_the_copy_works_the_same_when_a_transform_is_pickled() -> None:
    original = ImageTransform(ImageOptions(image_size=50, formats=("jpeg",)))
    copy = pickle.loads(pickle.dumps(original))
    assert copy.options == original.options
    assert copy.run(JPEG) == original.run(JPEG)


def test_the_bytes_are_the_same_when_another_process_makes_them() -> None:
    code = """
import sys
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.transform import ImageTransform
sys.stdout.buffer.write(ImageTransform(ImageOptions(image_size=64)).run(sys.stdin.buffer.read()).payload)
"""
    done = subprocess.run([sys.executable, "-c", code], input=JPEG, capture_output=True, check=True)
    assert done.stdout == transform(JPEG, image_size=64).payload
