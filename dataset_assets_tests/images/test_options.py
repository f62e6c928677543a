import subprocess
import sys
from typing import Any

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.images.options import ImageOptions


def test_defaults_are_img2datasets_when_nothing_is_given() -> None:
    options = ImageOptions()
    assert (options.image_size, options.resize_mode, options.resize_only_if_bigger) == (
        256,
        "border",
        False,
    )
    assert (options.upscale_interpolation, options.downscale_interpolation) == ("lanczos", "area")
    assert (options.encode_format, options.encode_quality) == ("jpg", 95)


@pytest.mark.parametrize(
    ("given", "expected", "came"),
    [
        ({"image_size": 0}, "image_size: expected an integer from 1 to 65535", "got 0"),
        ({"image_size": 256.0}, "image_size", "got 256.0"),
        ({"image_size": True}, "image_size", "got True"),
        (
            {"resize_mode": "crop"},
            "resize_mode: expected one of no, keep_ratio, center_crop, border, keep_ratio_largest",
            "got 'crop'",
        ),
        (
            {"upscale_interpolation": "sinc"},
            "upscale_interpolation: expected one of nearest, linear",
            "got 'sinc'",
        ),
        ({"downscale_interpolation": None}, "downscale_interpolation", "got None"),
        ({"encode_format": "jpeg"}, "encode_format: expected one of jpg, png, webp", "got 'jpeg'"),
        (
            {"encode_quality": 101},
            "encode_quality for jpg: expected an integer from 0 to 100",
            "got 101",
        ),
        (
            {"encode_format": "png"},
            "encode_quality for png: expected an integer from 0 to 9",
            "got 95",
        ),
        (
            {"encode_format": "webp", "encode_quality": 0},
            "encode_quality for webp: expected an integer from 1 to 1000",
            "got 0",
        ),
        ({"min_image_size": -1}, "min_image_size: expected a number of at least 0", "got -1"),
        ({"max_image_area": 0}, "max_image_area", "got 0"),
        ({"max_aspect_ratio": 0.5}, "max_aspect_ratio: expected a number of at least 1", "got 0.5"),
        ({"max_aspect_ratio": float("nan")}, "max_aspect_ratio", "got nan"),
        ({"max_pixels": 0}, "max_pixels", "got 0"),
        ({"formats": ()}, "formats: expected a tuple of names out of jpeg, png", "got ()"),
        ({"formats": ("jpeg", "svg")}, "formats: expected one of jpeg, png", "got 'svg'"),
        ({"area_kernel": "cuda"}, "area_kernel: expected one of auto, numba, opencv", "got 'cuda'"),
    ],
)
def test_one_line_says_what_was_expected_and_what_came_when_a_value_is_wrong(
    given: dict[str, Any], expected: str, came: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ImageOptions(**given)
    message = str(caught.value)
    assert expected in message
    assert came in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "given",
    [
        {"encode_format": "png", "encode_quality": 0},
        {"encode_format": "webp", "encode_quality": 101},
    ],
)
def test_the_ends_of_the_range_are_accepted_when_given(given: dict[str, Any]) -> None:
    ImageOptions(**given)


def test_no_heavy_package_is_loaded_when_options_are_imported() -> None:
    code = (
        "import sys, dataset_assets.images.options\n"
        "sys.exit(bool({'cv2', 'numba', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
