"""Loaders of small sets, and transforms for them that can be pickled."""

import functools
import operator
import os
import signal

import numpy as np

from dataset_assets.loaders.torch.loader import LoaderOptions, ShardLoader, ShardRows
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError


def label_and_noise(sample, rng):
    """Return the label, which is the number of the sample, and a random number."""
    return sample.columns["label"], rng.random()


def image_patch(sample, rng):
    """Return a patch of the image and its labels, like real transforms."""
    image, labels = sample.image(), sample.labels()
    top = rng.integers(0, image.shape[0] - 15)
    return (
        np.ascontiguousarray(image[top : top + 16].transpose(2, 0, 1)),
        labels[top : top + 16].copy(),
        sample.columns["label"],
    )


class BadLabels:
    """Raises SampleError for some labels."""

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
    rows = store if isinstance(store, list | ShardRows) else ShardRows(store)
    return ShardLoader(
        rows,
        transform,
        options=LoaderOptions(**{"global_batch_size": 8, "columns": ("label",), **options}),
    )


def global_batches(store, world_size, **options):
    """Return the labels of the batches of all ranks, concatenated."""
    loaders = [
        make(store, rank=rank, world_size=world_size, **options) for rank in range(world_size)
    ]
    assert len({len(loader) for loader in loaders}) == 1
    return [
        functools.reduce(operator.iadd, parts, [])
        for parts in zip(*map(labels, loaders), strict=True)
    ]
