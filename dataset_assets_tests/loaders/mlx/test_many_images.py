"""Order, skipping and memory of streams with 2,000 JPEGs of 224 x 224."""

import subprocess
import sys
from pathlib import Path

import pytest

from dataset_assets.loaders.mlx.stream import hf_dataset_to_mlx_stream
from dataset_assets_tests.loaders.numbered_images import encoded, hf_dataset, labels_of

ROOT = Path(__file__).parents[3]
COUNT = 2000
DAMAGED = (3, 700, 1999)


@pytest.fixture(scope="module")
def dataset():
    pytest.importorskip("mlx.data")
    return hf_dataset(
        [
            encoded(index, size=(224, 224))[: 900 if index in DAMAGED else None]
            for index in range(COUNT)
        ]
    )


@pytest.mark.slow
def test_good_images_keep_their_order_when_some_are_damaged(dataset):
    stream = hf_dataset_to_mlx_stream(dataset)
    good = [index for index in range(COUNT) if index not in DAMAGED]
    for epoch in range(2):
        stream.reset()
        batches = [batch["label"] for batch in stream]
        assert [len(labels) for labels in batches] == [32] * 62 + [13]
        assert [label for labels in batches for label in labels] == good
        assert stream.skipped == (epoch + 1) * len(DAMAGED)


@pytest.mark.slow
def test_each_epoch_has_another_order_when_shuffled(dataset):
    stream = hf_dataset_to_mlx_stream(dataset, shuffle=True)
    epochs = []
    for _ in range(3):
        stream.reset()
        epochs.append(labels_of(stream))
    good = [index for index in range(COUNT) if index not in DAMAGED]
    assert all(sorted(epoch) == good for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, good]}) == 4


@pytest.mark.slow
def test_peak_memory_is_below_the_target_when_compared_with_the_tutorial():
    program = ROOT / "benchmarks" / "mlx_stream.py"
    done = subprocess.run(
        [sys.executable, program, "--rounds", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
