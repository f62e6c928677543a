"""Preprocessing is that of the model's own processor on Pillow, and is read from its file."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from dataset_assets.demo.crops import encode
from dataset_assets.demo.photos import Crop
from dataset_assets.embeddings.model_files import ModelFiles
from dataset_assets.embeddings.preprocessing import ImagePreprocessing
from dataset_assets.errors import UnusableWeights
from dataset_assets_tests.embeddings import tiny_models

CPU = "cpu"


def processor(kind, **options):
    if kind == "clip":
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        return CLIPImageProcessorPil(**options)
    if kind == "siglip":
        from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

        return SiglipImageProcessorPil(**options)
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    return BitImageProcessorPil(
        size={"shortest_edge": 256},
        crop_size={"height": 224, "width": 224},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )


def both(body, theirs):
    """Return (ours, theirs) for one image, (3, H, W) in units of a normalized value."""
    ours = ImagePreprocessing.parse(json.loads(theirs.to_json_string()))
    image = Image.open(io.BytesIO(body)).convert("RGB")
    expected = theirs(images=image, return_tensors="np")["pixel_values"][0]
    return ours.batch_of([ours.pixels_of(body)], CPU)[0].numpy(), expected


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2"])
@pytest.mark.parametrize(
    ("width", "height", "extension"),
    [(260, 260, "jpg"), (400, 300, "png"), (231, 397, "png"), (120, 90, "png"), (401, 123, "webp")],
)
def test_pixels_are_those_of_the_processor_of_the_model(kind, width, height, extension):
    body = encode(Crop("rocket", 100, 10, width, height, extension))
    ours, expected = both(body, processor(kind))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=2e-6)


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2"])
def test_a_large_jpeg_is_decoded_smaller_with_almost_the_same_pixels(kind):
    body = encode(Crop("rocket", 0, 0, 600, 420, "jpg"))
    larger = Image.open(io.BytesIO(body)).resize((2400, 1680), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    larger.save(file, "JPEG", quality=92)
    ours, expected = both(file.getvalue(), processor(kind))
    # In units of one step of a byte: 1 of 255, before the division by the deviation.
    steps = np.abs(ours - expected) * 255 * 0.25
    assert steps.mean() < 1
    cosine = (ours * expected).sum() / np.linalg.norm(ours) / np.linalg.norm(expected)
    assert cosine > 0.9999


def test_files_of_older_versions_give_one_number():
    old = {"size": 224, "crop_size": 224, "do_center_crop": True, "resample": 3}
    old |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    found = ImagePreprocessing.parse(old)
    assert (found.shorter_side, found.size, found.crop) == (224, None, (224, 224))
    square = ImagePreprocessing.parse({**old, "do_center_crop": False})
    assert (square.shorter_side, square.size, square.crop) == (None, (224, 224), None)


def test_a_processor_file_may_hold_the_one_of_images(tmp_path):
    tiny_models.clip(tmp_path)
    alone = ImagePreprocessing.of(ModelFiles(tmp_path))
    file = tmp_path / "preprocessor_config.json"
    content = json.loads(file.read_text())
    file.unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": content}))
    assert ImagePreprocessing.of(ModelFiles(tmp_path)) == alone


@pytest.mark.parametrize(
    "change",
    [
        {"do_pad": True},
        {"size": {"shortest_edge": 64, "longest_edge": 128}},
        {"size": {"shortest_edge": 0}},
        {"size": {"shortest_edge": True}},
        {"size": {"shortest_edge": 64}, "do_center_crop": False},
        {"image_mean": [0.5]},
        {"image_std": "half"},
        {"resample": 17},
        {"size": None},
    ],
    ids=str,
)
def test_other_steps_are_refused(change):
    config = json.loads(processor("clip").to_json_string())
    with pytest.raises(UnusableWeights, match="the file: expected shortest_edge"):
        ImagePreprocessing.parse({**config, **change}, "the file")


def test_a_folder_without_preprocessing_is_refused(tmp_path):
    with pytest.raises(UnusableWeights, match="expected the preprocessing of images, got none"):
        ImagePreprocessing.of(ModelFiles(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text("[1]")
    with pytest.raises(UnusableWeights, match="preprocessor_config.json: expected"):
        ImagePreprocessing.of(ModelFiles(tmp_path))
