from io import BytesIO

import pytest
from PIL import Image

from dataset_assets.demo.crops import encode
from dataset_assets.demo.photos import PHOTOS, Crop, Photo
from dataset_assets.errors import MissingDependency


@pytest.mark.parametrize("name", PHOTOS)
def test_photo_is_as_described_when_opened(name):
    photo = PHOTOS[name]
    with Image.open(photo.path) as image:
        assert image.size == (photo.width, photo.height)
        assert image.mode == "RGB"
    for view in photo.views:
        left, top, right, bottom = view.subject
        assert 0 <= left < right <= photo.width
        assert 0 <= top < bottom <= photo.height


def test_photo_names_the_extra_when_its_package_is_missing():
    photo = Photo("no_such_package", "data/x.png", 1, 1, "", "", ())
    with pytest.raises(MissingDependency, match=r"dataset-assets\[demo\]"):
        _ = photo.path


def test_crop_comes_back_when_its_path_is_parsed():
    crop = Crop("coffee", 80, 10, 400, 300, "webp")
    assert crop.path == "coffee/80-10-400x300.webp"
    assert Crop.parse(crop.path) == crop


@pytest.mark.parametrize(
    "path",
    [
        "",
        "coffee",
        "teapot/0-0-10x10.jpg",
        "coffee/0-0-10x10.gif",
        "coffee/0-0-0x10.jpg",
        "coffee/300-0-301x10.jpg",
        "coffee/0-1-10x400.jpg",
        "coffee/-1-0-10x10.jpg",
        "coffee/0-0-10x10.jpg/",
        "../coffee/0-0-10x10.jpg",
    ],
)
def test_crop_is_none_when_the_path_is_no_part_of_a_photograph(path):
    assert Crop.parse(path) is None


@pytest.mark.parametrize(("extension", "name"), [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_encode_gives_the_same_pixels_of_the_photograph_when_asked_twice(extension, name):
    crop = Crop("retina", 100, 200, 300, 250, extension)
    body = encode(crop)
    encode.cache_clear()
    assert encode(crop) == body
    with Image.open(BytesIO(body)) as image, Image.open(PHOTOS["retina"].path) as photo:
        assert (image.format, image.size) == (name, (300, 250))
        if extension == "png":
            assert image.tobytes() == photo.crop((100, 200, 400, 450)).tobytes()


def test_jpeg_carries_exif_when_encoded():
    with Image.open(BytesIO(encode(Crop("retina", 0, 0, 300, 300, "jpg")))) as image:
        assert dict(image.getexif()) == {
            0x010E: "retina",
            0x013B: "Mikael Haggstrom",
            0x8298: "CC0 1.0",
        }
