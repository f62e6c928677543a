import numpy as np
import pytest

from dataset_assets.images.blur import blur_boxes, check_boxes
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause
from dataset_assets_tests.images.images import Pixels, photo

POINTS = ((30, 20), (12, 8), (2, 2), (45, 30), (58, 38), (9, 25), (40, 12))


def ramps() -> Pixels:
    """A ramp to the right, a ramp down and a checkerboard."""
    y, x = np.mgrid[0:40, 0:60]
    return np.dstack([x * 4, y * 6, (x // 5 + y // 5) % 2 * 255]).astype(np.uint8)


@pytest.mark.parametrize(
    ("boxes", "at_points", "sums"),
    [
        (
            [[0.25, 0.25, 0.75, 0.75]],
            [
                (119, 120, 117),
                (48, 47, 228),
                (8, 12, 0),
                (180, 179, 144),
                (232, 228, 0),
                (36, 150, 3),
                (159, 72, 96),
            ],
            (283084, 280532, 305328),
        ),
        (
            [[0.0, 0.0, 0.2, 0.3], [0.5, 0.4, 1.0, 1.0]],
            [
                (119, 120, 117),
                (48, 47, 224),
                (8, 12, 15),
                (180, 179, 137),
                (231, 226, 0),
                (36, 150, 0),
                (159, 72, 34),
            ],
            (282952, 280367, 305507),
        ),
        (
            [[-0.3, 0.5, 0.3, 1.4]],
            [
                (120, 120, 0),
                (48, 48, 255),
                (8, 12, 0),
                (180, 180, 255),
                (232, 228, 0),
                (36, 150, 120),
                (160, 72, 0),
            ],
            (283252, 280438, 305709),
        ),
    ],
)
def test_pixels_are_those_of_img2dataset_when_boxes_are_blurred(
    boxes: list[list[float]], at_points: list[tuple[int, int, int]], sums: tuple[int, int, int]
) -> None:
    """The numbers were read from img2dataset 1.47 with albumentations 1.4.24."""
    result = blur_boxes(ramps(), check_boxes(boxes))
    assert np.abs(np.array([result[y, x] for x, y in POINTS]).astype(int) - at_points).max() <= 1
    assert np.abs(result.sum(axis=(0, 1)).astype(int) - sums).max() <= result[..., 0].size // 20


def test_pixels_far_from_the_boxes_are_untouched_when_boxes_are_blurred() -> None:
    source = photo(100, 80)
    result = blur_boxes(source, check_boxes([[0.1, 0.1, 0.3, 0.4]]))
    np.testing.assert_array_equal(result[:, 60:], source[:, 60:])
    inside = (slice(10, 30), slice(12, 28))
    assert result[inside].std() < source[inside].std()


def test_gray_stays_gray_when_boxes_are_blurred() -> None:
    result = blur_boxes(photo(50, 40, 1), check_boxes([[0.2, 0.2, 0.8, 0.8]]))
    assert result.shape == (40, 50)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (2, 2)])
def test_nothing_breaks_when_the_image_is_smaller_than_the_blur(size: tuple[int, int]) -> None:
    source = photo(*size)
    assert blur_boxes(source, check_boxes([[-1, -1, 2, 2], [0, 0, 0, 0]])).shape == source.shape


@pytest.mark.parametrize(
    "boxes",
    [
        [[0.1, 0.1, 0.5]],
        [[0.1, 0.1, 0.5, 0.5, 0.9]],
        [[0.1, 0.1, float("nan"), 0.5]],
        [[0.1, 0.1, float("inf"), 0.5]],
        [[10, 10, 200, 150]],
        [[0.5, 0.1, 0.4, 0.5]],
        [[0.1, 0.5, 0.5, 0.4]],
        [["left", 0, 1, 1]],
        [None],
        [0.1, 0.1, 0.5, 0.5],
        3,
    ],
)
def test_the_image_is_refused_when_a_box_makes_no_sense(boxes: object) -> None:
    with pytest.raises(RefusedImage) as caught:
        check_boxes(boxes)  # type: ignore[arg-type]
    assert caught.value.cause == Cause.INVALID_BBOX


def test_boxes_of_any_sequence_are_taken_when_they_come_from_tables() -> None:
    expected = [(0.0, 0.25, 0.5, 1.0)]
    assert check_boxes(np.array([[0, 0.25, 0.5, 1]])) == expected
    assert check_boxes((("0", "0.25", "0.5", "1"),)) == expected  # type: ignore[arg-type]
    assert check_boxes([]) == []
