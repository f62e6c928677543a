from itertools import product

import cv2
import numpy as np
import pytest

from dataset_assets.images.options import INTERPOLATIONS, RESIZE_MODES, ImageOptions
from dataset_assets.images.resize import choose_reduction, compute_target, make_square, scale
from dataset_assets_tests.images.images import photo

# original -> size after scaling at image_size=100: by the shorter side, by the longer side
SIZES = {
    (1, 1): ((100, 100), (100, 100)),
    (100, 100): ((100, 100), (100, 100)),
    (101, 101): ((100, 100), (100, 100)),
    (200, 100): ((200, 100), (100, 50)),
    (100, 200): ((100, 200), (50, 100)),
    (300, 150): ((200, 100), (100, 50)),
    (333, 500): ((100, 150), (67, 100)),
    (640, 480): ((133, 100), (100, 75)),
    (99, 101): ((100, 102), (98, 100)),
    (99, 400): ((100, 404), (25, 100)),
    (37, 41): ((100, 111), (90, 100)),
    (400, 5): ((8000, 100), (100, 1)),
    (1000, 3): ((33333, 100), (100, 1)),
    (1000, 2): ((50000, 100), (100, 1)),
    (200, 101): ((198, 100), (100, 50)),  # 50.5 rounds to even
    (200, 103): ((194, 100), (100, 52)),  # 51.5 rounds to even
}


@pytest.mark.parametrize(
    ("mode", "only_if_bigger", "original"), list(product(RESIZE_MODES, (False, True), SIZES))
)
def test_sizes_are_those_of_the_table_when_a_mode_is_chosen(
    mode: str, only_if_bigger: bool, original: tuple[int, int]
) -> None:
    options = ImageOptions(image_size=100, resize_mode=mode, resize_only_if_bigger=only_if_bigger)
    target = compute_target(*original, options)
    by_shorter = mode in ("keep_ratio", "center_crop")
    side = min(original) if by_shorter else max(original)
    if mode == "no" or (only_if_bigger and side <= 100):
        assert target is None
        return
    assert target is not None
    assert (target.width, target.height) == SIZES[original][0 if by_shorter else 1]
    assert target.shrinks == (side > 100)
    assert target.square == (100 if mode in ("center_crop", "border") else 0)


@pytest.mark.parametrize(
    ("mode", "grows"),
    [("keep_ratio", True), ("center_crop", True), ("border", False), ("keep_ratio_largest", False)],
)
def test_the_scaled_side_decides_the_interpolation_when_the_other_side_differs(
    mode: str, grows: bool
) -> None:
    options = ImageOptions(
        image_size=100,
        resize_mode=mode,
        upscale_interpolation="nearest",
        downscale_interpolation="cubic",
    )
    source = photo(150, 80)
    target = compute_target(150, 80, options)
    assert target is not None
    expected = cv2.resize(
        source,
        (target.width, target.height),
        interpolation=cv2.INTER_NEAREST if grows else cv2.INTER_CUBIC,
    )
    np.testing.assert_array_equal(scale(source, target, options), expected)


CV2 = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "bilinear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
    "lanczos4": cv2.INTER_LANCZOS4,
}


@pytest.mark.parametrize("name", INTERPOLATIONS)
@pytest.mark.parametrize("size", [40, 90])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_opencvs_when_an_interpolation_is_named(
    name: str, size: int, channels: int
) -> None:
    options = ImageOptions(
        image_size=size,
        resize_mode="keep_ratio",
        upscale_interpolation=name,
        downscale_interpolation=name,
    )
    source = photo(70, 60, channels)
    target = compute_target(70, 60, options)
    assert target is not None
    result = scale(source, target, options)
    expected = cv2.resize(source, (target.width, target.height), interpolation=CV2[name])
    assert np.abs(result.astype(int) - expected).max() <= (1 if name == "area" else 0)


def test_the_same_array_comes_back_when_the_size_fits_already() -> None:
    options = ImageOptions(image_size=50, resize_mode="keep_ratio")
    source = photo(80, 50)
    target = compute_target(80, 50, options)
    assert target is not None
    assert scale(source, target, options) is source
    square = photo(50, 50)
    assert make_square(square, 50) is square


@pytest.mark.parametrize(
    ("size", "box"), [((7, 4), (1, 0)), ((8, 4), (2, 0)), ((4, 7), (0, 1)), ((4, 9), (0, 2))]
)
def test_the_middle_remains_when_a_square_is_cropped(
    size: tuple[int, int], box: tuple[int, int]
) -> None:
    source = photo(*size)
    left, top = box
    np.testing.assert_array_equal(make_square(source, 4), source[top : top + 4, left : left + 4])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "corner"), [((9, 4), (0, 2)), ((9, 3), (0, 3)), ((4, 9), (2, 0)), ((1, 9), (4, 0))]
)
def test_white_surrounds_the_image_when_a_square_is_padded(
    size: tuple[int, int], corner: tuple[int, int], channels: int
) -> None:
    source = photo(*size, channels)
    left, top = corner
    expected = np.full((9, 9, 3) if channels == 3 else (9, 9), 255)
    expected[top : top + size[1], left : left + size[0]] = source
    np.testing.assert_array_equal(make_square(source, 9), expected)


@pytest.mark.parametrize(
    ("original", "times"),
    [
        ((511, 700), 1),
        ((512, 512), 1),
        ((1023, 1200), 2),
        ((1022, 1200), 1),
        ((2047, 2047), 4),
        ((4095, 4100), 8),
        ((4095, 5000), 4),
        ((16000, 16000), 8),
    ],
)
def test_twice_the_target_remains_when_a_jpeg_is_reduced(
    original: tuple[int, int], times: int
) -> None:
    target = compute_target(*original, ImageOptions(image_size=256, resize_mode="keep_ratio"))
    assert target is not None
    assert choose_reduction(*original, target) == times
    assert times == 1 or min(-(-side // times) for side in original) >= 512
