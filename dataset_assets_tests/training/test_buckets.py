from itertools import product

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.training.buckets import (
    DEFAULT_SIDES,
    Bucket,
    choose_bucket,
    default_buckets,
    parse_buckets,
    without_upscaling,
)


def chosen_by_finetrainers(
    frames: int, height: int, width: int, buckets: tuple[Bucket, ...]
) -> Bucket:
    """The rule of finetrainers 0.2.0, functional/video.py, written out."""
    possible = [bucket for bucket in buckets if bucket.frames <= frames]
    if possible:
        match = max(possible, key=lambda bucket: bucket.frames)
    else:
        match = min(buckets, key=lambda bucket: abs(bucket.frames - frames))
    same = [bucket for bucket in buckets if bucket.frames == match.frames]
    aspect = width / height
    return min(
        same,
        key=lambda bucket: (
            abs(bucket.width / bucket.height - aspect),
            (-bucket.height, -bucket.width),
        ),
    )


def test_default_buckets_are_those_of_finetrainers() -> None:
    assert len(default_buckets("image")) == 144
    assert {bucket.frames for bucket in default_buckets("image")} == {1}
    assert {bucket.frames for bucket in default_buckets("video")} == {49}
    assert default_buckets("video")[1] == (49, 256, 320)
    assert default_buckets("image")[-1] == (1, 1536, 1536)
    assert parse_buckets("buckets", None, "video") == default_buckets("video")


def test_largest_bucket_wins_where_ratios_are_equal() -> None:
    squares = parse_buckets("buckets", [[256, 256], [1024, 1024], [512, 512]], "image")
    assert choose_bucket(1, 64, 64, squares) == (1, 1024, 1024)
    assert choose_bucket(1, 64, 64, default_buckets("image")) == (1, 1536, 1536)


@pytest.mark.parametrize(
    ("frames", "expected"), [(1, 9), (8, 9), (9, 9), (48, 9), (49, 49), (80, 49), (5000, 81)]
)
def test_frames_come_before_the_ratio(frames: int, expected: int) -> None:
    buckets = parse_buckets("b", [[49, 256, 512], [9, 512, 256], [81, 256, 256]], "video")
    assert choose_bucket(frames, 256, 512, buckets).frames == expected


def test_choice_equals_that_of_finetrainers_when_sizes_vary() -> None:
    buckets = tuple(Bucket(*each) for each in product((9, 25, 49), DEFAULT_SIDES, (256, 480, 768)))
    sides = (1, 7, 214, 255, 256, 333, 720, 1080, 4320)
    for frames, height, width in product((1, 9, 30, 49, 200), sides, sides):
        expected = chosen_by_finetrainers(frames, height, width, buckets)
        assert choose_bucket(frames, height, width, buckets) == expected


def test_small_samples_have_no_bucket_without_upscaling() -> None:
    assert without_upscaling(255, 4000, default_buckets("image")) == ()
    assert set(without_upscaling(300, 330, default_buckets("image"))) == {
        (1, 256, 256),
        (1, 256, 320),
    }


@pytest.mark.parametrize(
    ("values", "medium", "message"),
    [
        ([], "image", r"buckets: expected a list of buckets, got \[\]"),
        ("512", "image", "buckets: expected a list of buckets, got '512'"),
        ([[49, 512, 512]], "image", r"expected \(height, width\) for each bucket of images"),
        ([[512, 512]], "video", r"expected \(frames, height, width\) for each bucket of videos"),
        ([[0, 512]], "image", "buckets: height: expected an integer of at least 1, got 0"),
        ([[1.5, 512]], "image", "buckets: height: expected an integer of at least 1, got 1.5"),
        ([[512, 512]], "sound", "medium: expected one of image, video, got 'sound'"),
    ],
)
def test_wrong_buckets_are_refused(values: object, medium: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_buckets("buckets", values, medium)


def test_a_bucket_is_given_once() -> None:
    assert parse_buckets("buckets", [[512, 256], (512, 256)], "image") == ((1, 512, 256),)


def test_sizes_and_buckets_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="height: expected an integer of at least 1"):
        choose_bucket(1, 0, 5, default_buckets("image"))
    with pytest.raises(ConfigurationError, match="buckets: expected at least one, got none"):
        choose_bucket(1, 5, 5, ())
