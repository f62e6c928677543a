from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from dataset_assets.images.header import read_header
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.orientation import read_orientation, swaps_sides, turn
from dataset_assets.training.samples import TrainingSamples
from dataset_assets.training.sizes import measure
from dataset_assets_tests.training.sample_sets import Payloads, describe

PIXELS = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)


def photo(orientation: int, kind: str = "png") -> bytes:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = orientation
    body = BytesIO()
    image.save(body, kind, exif=exif)
    return body.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_pillow_turns_them(orientation: int) -> None:
    body = photo(orientation)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(body))))
    found = read_orientation(body, read_header(body))
    assert found == orientation
    assert np.array_equal(turn(PIXELS, found), expected)
    assert swaps_sides(found) == (expected.shape[:2] == (9, 6))
    assert measure(body, "image") == (1, *expected.shape[:2])


@pytest.mark.parametrize("kind", ["jpeg", "webp", "png"])
def test_formats_of_cameras_and_phones_are_turned(kind: str) -> None:
    options = SampleOptions(image_resolution_buckets=((9, 6), (6, 9)), reshape_mode="center_crop")
    samples = TrainingSamples([describe("k")], Payloads(k=photo(6, kind)), options)
    found = samples["k"]
    assert found["bucket"] == (1, 9, 6)
    assert (found["original_height"], found["original_width"]) == (9, 6)


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_values_that_mean_nothing_turn_nothing(orientation: int) -> None:
    assert measure(photo(orientation), "image") == (1, 6, 9)
