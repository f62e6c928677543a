import cv2
import numpy as np
import pytest

from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.masks.polygons import fill_box


def _decoded(label_map):
    return cv2.imdecode(np.frombuffer(label_map.encode(), np.uint8), cv2.IMREAD_UNCHANGED)


def test_later_label_lies_on_top_when_masks_overlap():
    label_map = LabelMap(3, 4)
    label_map.paint(np.ones((3, 4), np.uint8), 7)
    label_map.paint((np.array([[True, False], [True, True]]), 2, 1), 200)
    np.testing.assert_array_equal(
        _decoded(label_map), [[7, 7, 7, 7], [7, 7, 200, 7], [7, 7, 200, 200]]
    )
    assert label_map.count_pixels() == {7: 9, 200: 3}


@pytest.mark.parametrize(("label", "kind"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_png_has_one_channel_as_deep_as_needed_when_encoded(label, kind):
    label_map = LabelMap(5, 6)
    label_map.paint(fill_box([0, 0, 6, 0, 6, 2, 0, 2], 5, 6), 3)
    label_map.paint(fill_box([0, 2, 6, 2, 6, 5, 0, 5], 5, 6), label)
    got = _decoded(label_map)
    assert got.dtype == kind
    assert got.shape == (5, 6)
    assert got[0].tolist() == [3] * 6
    assert got[4].tolist() == [label] * 6
    assert label_map.count_pixels() == {3: 12, label: 18}


def test_map_is_empty_when_nothing_is_painted():
    label_map = LabelMap(2, 3)
    label_map.paint(fill_box([], 2, 3), 5)
    assert label_map.count_pixels() == {}
    np.testing.assert_array_equal(_decoded(label_map), np.zeros((2, 3)))


@pytest.mark.parametrize("label", [-1, 65536])
def test_label_is_refused_when_no_map_can_hold_it(label):
    with pytest.raises(ValueError, match="from 0 to 65535"):
        LabelMap(2, 3).paint(np.ones((2, 3)), label)


@pytest.mark.parametrize(("left", "top"), [(-1, 0), (0, -1), (2, 0), (0, 1)])
def test_mask_is_refused_when_it_leaves_the_map(left, top):
    with pytest.raises(ValueError, match="does not lie within"):
        LabelMap(2, 3).paint((np.ones((2, 2)), left, top), 1)
