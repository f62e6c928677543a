import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as pycoco

from dataset_assets.staging.masks import rle
from dataset_assets_tests.support.rle_encoding import compress, encode

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # in pycocotools
MASKS = npst.arrays(np.bool_, npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=70))


def _theirs(mask):
    return pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))


@given(MASKS)
def test_mask_comes_back_when_encoded_in_any_form(mask):
    counts = encode(mask)
    text = compress(counts)
    for form in (counts, text, text.encode(), np.array(counts)):
        got = rle.decode(form, *mask.shape)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, mask)


@given(MASKS)
def test_text_is_that_of_the_coco_api_when_compressed(mask):
    theirs = _theirs(mask)
    assert compress(encode(mask)).encode() == theirs["counts"]
    np.testing.assert_array_equal(rle.decode(theirs["counts"], *mask.shape), pycoco.decode(theirs))


@pytest.mark.parametrize("seed", range(20))
def test_large_masks_equal_the_coco_api_when_decoded(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 900, 2).tolist()
    mask = rng.random((height, width)) < rng.choice([0.001, 0.5, 0.999])
    theirs = pycoco.frPyObjects({"counts": encode(mask), "size": [height, width]}, height, width)
    np.testing.assert_array_equal(pycoco.decode(theirs), mask)
    np.testing.assert_array_equal(rle.decode(theirs["counts"], height, width), mask)


@given(st.lists(st.integers(0, 2**40), max_size=40))
def test_counts_come_back_when_they_are_large(counts):
    assert rle.decompress(compress(counts)).tolist() == counts


def test_runs_go_along_the_rows_when_they_are_of_cvat():
    np.testing.assert_array_equal(rle.decode_row_major([1, 3, 2], 2, 3), [[0, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(rle.decode([1, 3, 2], 2, 3), [[0, 1, 0], [1, 1, 0]])


@given(MASKS)
def test_rows_and_columns_change_places_when_the_mask_is_turned(mask):
    np.testing.assert_array_equal(rle.decode_row_major(encode(mask.T), *mask.shape), mask)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, 2], "add up to 2 x 3 = 6 pixels, got 5"),
        ([3, 4], "got 7"),
        ([7, -1], "got 6"),
        ([], "got 0"),
        ("", "got 0"),
        ([2.5, 3.5], "whole numbers"),
        (["6"], "whole numbers"),
        ([[6]], "whole numbers"),
        ([True], "whole numbers"),
        ("6 ", "characters from"),
        ("6\u00e9", "characters from"),
        ("p", "characters from"),
        ("P", "last number complete"),
        ("P" * 12 + "0", "60 bits"),
    ],
)
def test_counts_are_refused_when_they_are_none_of_the_mask(counts, message):
    with pytest.raises(ValueError, match=message):
        rle.decode(counts, 2, 3)


def test_mask_is_empty_when_the_image_is():
    assert rle.decode([], 0, 5).shape == (0, 5)
    assert encode(np.zeros((0, 5), bool)) == [0]
