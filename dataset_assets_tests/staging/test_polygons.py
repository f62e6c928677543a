import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycoco

from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.masks.polygons import fill_box

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # in pycocotools
SIDES = st.integers(1, 60)
COORDINATES = st.one_of(
    st.floats(-80, 140, allow_nan=False),
    st.integers(-20, 80).map(float),
    st.integers(-200, 700).map(lambda tenths: tenths / 10),
    st.integers(-200, 700).map(lambda steps: steps / 5 + 0.1),  # between the steps of the fine grid
    st.floats(-1e-3, 1e-3),
    st.sampled_from([-5e3, 5e3]),
)
POLYGONS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=25).map(
    lambda points: [each for point in points for each in point]
)


def fill(polygon, height, width):
    return fill_all([polygon], height, width)


def fill_all(polygons, height, width):
    """Return the pixels (height, width) that any of the polygons covers."""
    label_map = LabelMap(height, width)
    for polygon in polygons:
        label_map.paint(fill_box(polygon, height, width), 1)
    return label_map.pixels > 0


def _theirs(polygon, height, width):
    return pycoco.decode(pycoco.frPyObjects([polygon], height, width))[..., 0].astype(bool)


def check_mask(polygon, height, width):
    np.testing.assert_array_equal(fill(polygon, height, width), _theirs(polygon, height, width))
    part, left, top = fill_box(polygon, height, width)
    whole = np.zeros((height, width), bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    np.testing.assert_array_equal(whole, fill(polygon, height, width))


@settings(max_examples=300)
@given(POLYGONS, SIDES, SIDES)
def test_mask_equals_the_coco_api_and_is_in_its_box_when_drawn(polygon, height, width):
    check_mask(polygon, height, width)


@pytest.mark.slow
@settings(max_examples=5000)
@given(POLYGONS, SIDES, SIDES)
def test_thousands_of_found_masks_equal_the_coco_api_when_drawn(polygon, height, width):
    check_mask(polygon, height, width)


def _random_polygon(rng, kind):
    count, height, width = int(rng.integers(3, 40)), *rng.integers(1, 120, 2).tolist()
    points = rng.uniform(-0.3, 1.3, (count, 2)) * [width, height]
    if kind == "whole":
        points = points.round()
    elif kind == "halves":
        points = (points * 2).round() / 2
    elif kind == "tiny":
        points = points[:1] + rng.uniform(-1.5, 1.5, (count, 2))
    elif kind == "repeated":
        points[rng.integers(0, count)] = points[1] = points[0]
    elif kind == "line":
        points[:, rng.integers(0, 2)] = points[0, 0]
    elif kind == "far":
        points = points * 8 - [3 * width, 3 * height]
    return points.ravel().tolist(), height, width


@pytest.mark.parametrize("kind", ["any", "whole", "halves", "tiny", "repeated", "line", "far"])
def test_thousands_of_random_masks_equal_the_coco_api_when_drawn(kind):
    rng = np.random.default_rng(7)
    different = 0
    for _ in range(1000):
        polygon, height, width = _random_polygon(rng, kind)
        different += not np.array_equal(
            fill(polygon, height, width), _theirs(polygon, height, width)
        )
    assert different == 0


@pytest.mark.parametrize("seed", range(5))
def test_union_equals_the_coco_api_when_an_object_has_several_polygons(seed):
    rng = np.random.default_rng(seed)
    polygons = [rng.uniform(-10, 110, 2 * int(rng.integers(3, 12))).tolist() for _ in range(4)]
    theirs = pycoco.decode(pycoco.merge(pycoco.frPyObjects(polygons, 90, 100)))
    np.testing.assert_array_equal(fill_all(polygons, 90, 100), theirs)


@pytest.mark.parametrize(
    "polygon",
    [
        [],
        [4, 4],
        [1, 1, 30, 30],
        [5, 5, 5, 5, 5, 5],
        [-9, -9, -3, -9, -3, -3],
        [100, 1, 120, 1, 120, 20],
    ],
)
def test_nothing_is_drawn_when_a_polygon_covers_no_pixel(polygon):
    assert not fill(polygon, 40, 50).any()


def test_all_is_drawn_when_a_polygon_covers_the_image():
    assert fill([-1e5, -1e5, 1e5, -1e5, 1e5, 1e5, -1e5, 1e5], 40, 50).all()


@pytest.mark.parametrize(
    "polygon",
    [
        [1, 2, 3],
        [[1, 2], [3, 4]],
        [1, 2, float("nan"), 3, 4, 5],
        [1, 2, 1e18, 3, 4, 5],
        [0, 0, 9e5, 9e5, 0, 9e5],
        ["a", "b"],
    ],
)
def test_polygon_is_refused_when_it_is_none(polygon):
    with pytest.raises(ValueError, match="polygon|could not convert"):
        fill(polygon, 40, 50)
