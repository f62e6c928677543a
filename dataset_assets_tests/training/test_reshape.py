from itertools import product

import numpy as np
import pytest
from PIL import Image

from dataset_assets.errors import ConfigurationError
from dataset_assets.training.buckets import DEFAULT_SIDES, Bucket
from dataset_assets.training.reshape import (
    RESHAPE_MODES,
    choose_decoding,
    normalize,
    place,
    reshape,
    reshape_video,
)

#: 43 x 43 sizes and 12 buckets: 22,188 combinations, 214 x 214 for 256 x 256 among them.
SIDES = tuple(range(64, 64 + 43 * 50, 50))
BUCKETS = tuple(
    Bucket(1, height, width)
    for height, width in zip(DEFAULT_SIDES, (256, *DEFAULT_SIDES[:0:-1]), strict=True)
)
GRID = tuple(product(SIDES, SIDES, BUCKETS))
CORNERS = ((0.0, 0.0), (0.5, 0.25), (1 - 2**-53, 1 - 2**-53))
NOISE = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)


def size_of_finetrainers(height: int, width: int, bucket: Bucket) -> tuple[int, int]:
    """What `resize_crop` of finetrainers 0.2.0 scales to."""
    factor = max(bucket.height / height, bucket.width / width)
    return int(height * factor), int(width * factor)


def test_grid_holds_sizes_where_finetrainers_is_a_pixel_short() -> None:
    assert len(GRID) == 22_188
    assert size_of_finetrainers(214, 214, Bucket(1, 256, 256)) == (255, 255)
    short = sum(
        size_of_finetrainers(height, width, bucket) < (bucket.height, bucket.width)
        for height, width, bucket in GRID
    )
    assert short > 500


@pytest.mark.parametrize("mode", RESHAPE_MODES)
def test_crop_lies_inside_for_every_size_and_bucket(mode: str) -> None:
    for number, (height, width, bucket) in enumerate(GRID):
        placed = place(height, width, bucket, mode, CORNERS[number % 3])
        assert 0 <= placed.top <= placed.height - bucket.height
        assert 0 <= placed.left <= placed.width - bucket.width


@pytest.mark.parametrize("mode", ["resize_crop", "center_crop", "random_crop"])
def test_aspect_ratio_is_kept_to_the_pixel(mode: str) -> None:
    for height, width, bucket in GRID:
        placed = place(height, width, bucket, mode)
        # at least one side is exact, the other is rounded up
        assert abs(placed.height * width - placed.width * height) < max(height, width)


@pytest.mark.parametrize("mode", RESHAPE_MODES)
def test_pixels_have_the_size_of_the_bucket_for_22188_small_combinations(mode: str) -> None:
    small = [Bucket(1, height, width) for height, width in product((1, 7, 22), (1, 5, 16, 40))]
    for height, width, bucket in product(range(1, 44), range(1, 44), small):
        shaped = reshape(NOISE[:height, :width], bucket, mode, (0.3, 0.9))
        assert shaped.shape == (bucket.height, bucket.width, 3)


@pytest.mark.parametrize("mode", RESHAPE_MODES)
def test_values_are_float32_in_range_for_real_buckets(mode: str) -> None:
    for height, width, bucket in GRID[::1009]:
        pixels = NOISE[:height, :width]
        planes = normalize(reshape(pixels, bucket, mode, (0.3, 0.9)))
        assert planes.shape == (3, bucket.height, bucket.width)
        assert planes.dtype == np.float32
        assert planes.flags.c_contiguous
        assert planes.min() >= -1
        assert planes.max() <= 1


@pytest.mark.parametrize("mode", RESHAPE_MODES)
@pytest.mark.parametrize("size", [(1, 50_000), (50_000, 1), (1, 1)])
def test_extreme_shapes_take_no_more_memory_than_their_bucket(
    mode: str, size: tuple[int, int]
) -> None:
    shaped = reshape(np.full((*size, 3), 77, np.uint8), Bucket(1, 1536, 320), mode, (0.9, 0.9))
    assert shaped.shape == (1536, 320, 3)
    assert (shaped == 77).all()


@pytest.mark.parametrize("mode", ["resize_crop", "random_crop"])
def test_pixels_equal_those_of_scaling_all_and_cropping(mode: str) -> None:
    # smooth, so that a shift by a part of a pixel would show
    rows, columns = np.mgrid[:150, :260]
    pixels = np.stack([rows, columns % 256, (rows + columns) // 2], axis=2).astype(np.uint8)
    bucket = Bucket(1, 200, 192)
    placed = place(150, 260, bucket, mode, (0.5, 0.8))
    kind = Image.Resampling.BILINEAR if mode == "resize_crop" else Image.Resampling.BICUBIC
    whole = Image.fromarray(pixels).resize((placed.width, placed.height), kind)
    expected = np.asarray(whole)[placed.top :, placed.left :][:200, :192].astype(int)
    shaped = reshape(pixels, bucket, mode, (0.5, 0.8)).astype(int)
    assert np.abs(shaped - expected).max() <= 1


def test_crops_of_large_images_keep_pixels_as_they_are() -> None:
    bucket = Bucket(1, 256, 320)
    center = reshape(NOISE, bucket, "center_crop")
    assert np.array_equal(center, NOISE[622 : 622 + 256, 590 : 590 + 320])
    corner = reshape(NOISE, bucket, "random_crop", (0.0, 1 - 2**-53))
    assert np.array_equal(corner, NOISE[:256, -320:])


def test_normalize_maps_the_ends_of_the_range_to_one() -> None:
    pixels = np.array([[[0, 127, 255]]], np.uint8)
    assert normalize(pixels).ravel().tolist() == [-1.0, np.float32(127) / np.float32(127.5) - 1, 1]


def test_frames_of_a_video_are_cropped_alike() -> None:
    frames = [NOISE[:300, :400] // divisor for divisor in (1, 2, 3)]
    bucket = Bucket(3, 256, 256)
    video = reshape_video(iter(frames), bucket, "random_crop", (0.2, 0.7))
    assert video.shape == (3, 3, 256, 256)
    for frame, planes in zip(frames, video, strict=True):
        alone = normalize(reshape(frame, bucket, "random_crop", (0.2, 0.7)))
        assert np.array_equal(planes, alone)


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_frames_is_refused(count: int) -> None:
    with pytest.raises(
        ConfigurationError, match=f"frames: expected 3, as .* 3x8x8 has, got {count}"
    ):
        reshape_video([NOISE[:9, :9]] * count, Bucket(3, 8, 8))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="reshape_mode: expected one of bicubic"):
        reshape(NOISE, Bucket(1, 8, 8), "lanczos")
    with pytest.raises(
        ConfigurationError, match=r"pixels: expected \(H, W, 3\) uint8, got \(9, 9\)"
    ):
        reshape(NOISE[:9, :9, 0], Bucket(1, 8, 8))


@pytest.mark.parametrize(
    ("size", "mode", "times"),
    [
        ((3000, 4000), "resize_crop", 4),
        ((3000, 4000), "bicubic", 4),
        ((1500, 2000), "resize_crop", 2),
        ((500, 9000), "resize_crop", 1),
        ((256, 256), "bicubic", 1),
        ((3000, 4000), "center_crop", 1),
        ((3000, 4000), "random_crop", 1),
    ],
)
def test_large_photos_are_decoded_smaller_where_nothing_is_lost(
    size: tuple[int, int], mode: str, times: int
) -> None:
    assert choose_decoding(*size, Bucket(1, 256, 256), mode) == times
