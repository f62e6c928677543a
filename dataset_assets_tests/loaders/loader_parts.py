"""What tests of the loader use: transforms that can be pickled, and a short way to make loaders."""

import functools
import operator
import os
import signal

import numpy as np

from dataset_assets.loaders.torch.loader import LoaderOptions, ShardLoader, StagedRows
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError


def label_and_noise(sample, rng):
    """Sample i of a set has label i."""
    return sample.columns["label"], rng.random()


def picture(sample, rng):
    """A patch of the image and its labels, as real transforms make them."""
    image, labels = sample.image(), sample.labels()
    top = rng.integers(0, image.shape[0] - 15)
    return (
        np.ascontiguousarray(image[top : top + 16].transpose(2, 0, 1)),
        labels[top : top + 16].copy(),
        sample.columns["label"],
    )


class BadLabels:
    """Fails for some labels, in every way that a sample can be bad for a transform."""

    def __init__(self, bad):
        self.bad = frozenset(bad)

    def __call__(self, sample, rng):
        if sample.columns["label"] in self.bad:
            raise SampleError(Cause.DECODE_ERROR, "it is bad")
        return label_and_noise(sample, rng)


class DyingAt:
    """Kills its process at a label."""

    def __init__(self, label):
        self.label = label

    def __call__(self, sample, rng):
        if sample.columns["label"] == self.label:
            os.kill(os.getpid(), signal.SIGKILL)
        return label_and_noise(sample, rng)


def labels(batches):
    """Return the labels of batches as lists."""
    return [batch[0].tolist() for batch in batches]


def make(store, transform=label_and_noise, **options):
    """Return a loader of one set."""
    rows = store if isinstance(store, list | StagedRows) else StagedRows(store)
    return ShardLoader(
        rows,
        transform,
        options=LoaderOptions(**{"global_batch_size": 8, "columns": ("label",), **options}),
    )


def global_batches(store, world_size, **options):
    """Return the labels of an epoch of all ranks, put together."""
    loaders = [
        make(store, rank=rank, world_size=world_size, **options) for rank in range(world_size)
    ]
    assert len({len(loader) for loader in loaders}) == 1
    return [
        functools.reduce(operator.iadd, parts, [])
        for parts in zip(*map(labels, loaders), strict=True)
    ]
