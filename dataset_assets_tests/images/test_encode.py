import numpy as np
import pytest
from PIL import Image

from dataset_assets.images.codec import encode
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause
from dataset_assets_tests.images.images import BytesIO, file, photo, pixels, psnr

PHOTO = photo(64, 48)


def test_the_file_is_opencvs_when_the_format_is_jpg() -> None:
    assert encode(PHOTO, ImageOptions()) == file(PHOTO, "jpg")  # quality 95, 4:2:0
    low = encode(PHOTO, ImageOptions(encode_quality=30))
    assert len(low) < len(encode(PHOTO, ImageOptions())) / 2
    assert Image.open(BytesIO(low)).format == "JPEG"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("file_format", "quality"), [("png", 0), ("png", 9), ("webp", 101)])
def test_pixels_are_kept_when_the_format_is_lossless(
    file_format: str, quality: int, channels: int
) -> None:
    source = photo(64, 48, channels)
    result = pixels(encode(source, ImageOptions(encode_format=file_format, encode_quality=quality)))
    if file_format == "webp" and channels == 1:
        result = result[..., 0]  # WebP has no gray
    np.testing.assert_array_equal(result, source)


def test_png_is_smaller_when_the_quality_is_higher() -> None:
    sizes = [
        len(encode(PHOTO, ImageOptions(encode_format="png", encode_quality=level)))
        for level in (0, 9)
    ]
    assert sizes[1] < sizes[0]


def test_webp_is_lossy_when_the_quality_is_at_most_100() -> None:
    result = pixels(encode(PHOTO, ImageOptions(encode_format="webp", encode_quality=80)))
    assert 25 < psnr(result, PHOTO) < 60


def test_a_view_is_encoded_when_an_image_was_cropped() -> None:
    assert encode(PHOTO[5:30, 7:33], ImageOptions()) == encode(
        PHOTO[5:30, 7:33].copy(), ImageOptions()
    )


def test_the_image_is_refused_when_the_format_can_not_hold_it() -> None:
    with pytest.raises(RefusedImage) as caught:
        encode(np.zeros((1, 20_000, 3), np.uint8), ImageOptions(encode_format="webp"))
    assert (caught.value.cause, str(caught.value)) == (Cause.ENCODE_ERROR, "image encoding error")
