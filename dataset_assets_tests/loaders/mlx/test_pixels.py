import io

import numpy as np
import pytest
from PIL import Image

from dataset_assets.loaders.mlx.pixels import to_pixels
from dataset_assets_tests.loaders.numbered_images import encoded

ROT = 0x0112  # EXIF orientation


def saved(image, file_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("mode", "file_format", "shape"),
    [
        ("RGB", "JPEG", (16, 24, 3)),
        ("L", "JPEG", (16, 24)),
        ("CMYK", "JPEG", (16, 24, 3)),
        ("RGB", "WEBP", (16, 24, 3)),
        ("P", "GIF", (16, 24, 3)),
        ("P", "PNG", (16, 24, 3)),
        ("1", "PNG", (16, 24)),
        ("RGBA", "PNG", (16, 24, 3)),
        ("LA", "PNG", (16, 24, 3)),
        ("L", "PPM", (16, 24)),
        ("RGB", "BMP", (16, 24, 3)),
        ("RGB", "TIFF", (16, 24, 3)),
    ],
)
def test_pixels_are_gray_or_rgb_when_a_file_is_decoded(mode, file_format, shape):
    pixels = to_pixels(encoded(1, mode=mode, file_format=file_format))
    assert (pixels.dtype, pixels.shape) == (np.uint8, shape)
    assert pixels.std() > 30


def test_pixels_equal_those_of_datasets_when_exif_rotates_the_image():
    import datasets

    exif = Image.Exif()
    exif[ROT] = 6
    data = saved(Image.open(io.BytesIO(encoded(1))), "JPEG", exif=exif)
    expected = np.array(datasets.Image().decode_example({"bytes": data, "path": None}))
    assert expected.shape == (24, 16, 3)
    assert np.array_equal(to_pixels(data), expected)


def test_background_is_white_when_pixels_are_transparent():
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    image.putpixel((1, 0), (10, 20, 30, 255))
    assert to_pixels(saved(image)).tolist() == [[[255, 255, 255], [10, 20, 30]]]


def test_gray_has_eight_bits_when_the_file_has_sixteen():
    values = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    assert to_pixels(saved(Image.fromarray(values))).tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize(("mode", "shape"), [("L", (16, 24)), ("RGB", (16, 24, 3))])
@pytest.mark.parametrize("stored", ["L", "RGB", "RGBA"])
def test_mode_is_the_given_one(mode, shape, stored):
    assert to_pixels(encoded(1, mode=stored, file_format="PNG"), mode=mode).shape == shape


@pytest.mark.parametrize("size", [(24, 16), (16, 24), (300, 200), (3, 2)])
def test_image_is_square_when_a_size_is_given(size):
    assert to_pixels(encoded(1, size=size), size=8).shape == (8, 8, 3)


def test_large_photo_is_decoded_smaller_when_it_is_scaled_down():
    data = saved(Image.radial_gradient("L").resize((2048, 2048)).convert("RGB"), "JPEG")
    whole = Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BICUBIC)
    difference = np.abs(to_pixels(data, size=64).astype(int) - np.asarray(whole))
    assert difference.max() <= 3


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no image",
        encoded(1)[:150],
        encoded(1, file_format="PNG")[:300],
        None,
        7,
        {"bytes": None, "path": None},
        np.zeros(3, np.uint8),
        np.array([["a"]]),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ],
)
def test_error_is_raised_when_a_value_is_not_an_image(value):
    with pytest.raises(Exception, match=r"\w"):
        to_pixels(value)


def test_array_is_passed_on_when_it_holds_pixels():
    array = np.zeros((3, 4, 5), np.float32)
    assert to_pixels(array) is array
