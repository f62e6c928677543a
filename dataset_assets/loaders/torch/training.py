"""`training_loader`: batches for training from images and videos with captions.

Each batch has samples of one medium and one resolution bucket. Sets are chained, or mixed by
weight; the same samples may be in several sets, with other buckets. It is a `ShardLoader`, so
order, ranks, resuming and metrics are its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.sample import LoadedSample
from dataset_assets.loaders.samples.training_rows import TrainingRows
from dataset_assets.loaders.torch.loader import ShardLoader
from dataset_assets.records.staged import SampleError
from dataset_assets.training.buckets import MEDIA, Bucket
from dataset_assets.training.samples import TrainingSamples

#: Fields of a batch that are tensors of integers.
_NUMBERS = ("original_height", "original_width", "original_num_frames")
_TEXTS = ("caption", "key", "columns")


def training_loader(
    sets: TrainingSamples | Sequence[TrainingSamples],
    options: LoaderOptions | None = None,
    *,
    weights: Sequence[float] | None = None,
) -> ShardLoader:
    """Make a loader of training batches.

    Samples without a bucket are left out; `TrainingSamples.buckets` says why. Partial batches of a
    bucket come at the end of an epoch, or are left out with `drop_last`; `metrics()` counts what is
    padded and left out. With weights, an epoch ends when the first set is used up, unless
    `options.stop` or `options.samples_per_epoch` says else.

    Args:
        sets: one set, or several. Without weights they are chained: each sample once an epoch.
        options: batch size, ranks, workers and all else. None: the defaults.
        weights: share of the samples of each set in an epoch.

    Returns:
        A loader whose batches are what `collate_training` returns.

    Raises:
        SourceError: no sample of a set has a bucket.
        ConfigurationError: the numbers of sets and weights differ, or the options cannot work with
            these sets.

    Example:
        >>> from dataset_assets import LoaderOptions, SampleOptions
        >>> from dataset_assets import open_training_set, training_loader, training_set
        >>> summary = training_set("shards", "set", image_resolution_buckets=[[64, 64]])
        >>> small = open_training_set("set")
        >>> large = small.with_options(SampleOptions(image_resolution_buckets=((128, 128),)))
        >>> loader = training_loader([small, large], LoaderOptions(global_batch_size=8))
        >>> for batch in loader:
        ...     state = loader.state_dict()  # resumes after this batch
        >>> sorted(batch)[:4]
        ['bucket', 'caption', 'columns', 'drops_embedding']
    """
    listed = [sets] if isinstance(sets, TrainingSamples) else list(sets)
    if weights is not None and len(weights) != len(listed):
        raise ConfigurationError(
            f"weights: expected one for each of {len(listed)} sets, got {len(weights)}"
        )
    buckets = [each.buckets() for each in listed]
    groups = _number_groups(listed, buckets)
    sources = []
    for number, samples in enumerate(listed):
        keep = groups[number] >= 0
        if not keep.any():
            raise SourceError(_why_none(samples, buckets[number]))
        rows = TrainingRows(samples)
        weight = None if weights is None else weights[number]
        source = LoaderSource(rows=rows, weight=weight, keep=keep, groups=groups[number])
        sources.append(source)
    return ShardLoader(sources, TrainingTransform(listed), collate_training, options=options)


class TrainingTransform:
    """Makes the arrays of a sample with the set that it is from."""

    def __init__(self, sets: Sequence[TrainingSamples]) -> None:
        self._sets = list(sets)
        self._starts = np.cumsum([0, *(len(each) for each in sets)])

    def __call__(self, sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return the sample; its randomness is that of seed, epoch and key."""
        position = sample.index - int(self._starts[sample.source])
        return (self._sets[sample.source].make(position, sample.payload, sample.epoch),)


def collate_training(
    samples: Sequence[tuple[Any, ...]], rng: np.random.Generator | None = None
) -> dict[str, Any]:
    """Make a batch of samples of one medium and bucket.

    Args:
        samples: results of `TrainingTransform`.
        rng: not used.

    Returns:
        "image": (B, 3, H, W), or "video": (B, F, 3, H, W), float32 tensor in [-1, 1]; "caption",
        "key" and "columns": lists; "original_height", "original_width" and "original_num_frames":
        (B,) int64; "drops_embedding": (B,) bool; "bucket": that of all.
    """
    made: list[Mapping[str, Any]] = [each for (each,) in samples]
    first = made[0]
    medium = next(name for name in MEDIA if name in first)
    batch: dict[str, Any] = {medium: _stack([each[medium] for each in made])}
    batch.update({name: [each[name] for each in made] for name in _TEXTS})
    batch.update({name: torch.tensor([each[name] for each in made]) for name in _NUMBERS})
    batch["drops_embedding"] = torch.tensor([each["drops_embedding"] for each in made])
    batch["bucket"] = first["bucket"]
    return batch


def _stack(arrays: list[NDArray[np.float32]]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(array) for array in arrays])


def _number_groups(
    sets: Sequence[TrainingSamples], buckets: Sequence[Sequence[Bucket | SampleError]]
) -> list[NDArray[np.int64]]:
    """Return the group of each sample, the same for a medium and bucket in all sets; -1: none."""
    names = [
        [
            None if isinstance(bucket, SampleError) else (medium, bucket)
            for medium, bucket in zip(samples.media(), of_set, strict=True)
        ]
        for samples, of_set in zip(sets, buckets, strict=True)
    ]
    distinct = sorted({name for of_set in names for name in of_set if name is not None})
    numbers = {name: number for number, name in enumerate(distinct)}
    return [
        np.array([-1 if name is None else numbers[name] for name in of_set], np.int64)
        for of_set in names
    ]


def _why_none(samples: TrainingSamples, buckets: Sequence[Bucket | SampleError]) -> str:
    errors = [each for each in buckets if isinstance(each, SampleError)]
    reason = f"the first: {errors[0].message}" if errors else "the set is empty"
    return f"expected samples with a bucket, got none of {len(samples)}; {reason}"
