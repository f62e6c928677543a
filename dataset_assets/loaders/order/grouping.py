"""Batches of an epoch: consecutive samples of its order, or of one group only.

A group is a number, such as that of a resolution bucket. Samples wait for others of their group in
the order of the epoch, and a batch follows when it is full. So batches are a function of order and
groups, and nothing needs to be saved of what waits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_assets.loaders.options import LoaderOptions

Indices = NDArray[np.int64]


class BatchSizes(NamedTuple):
    """Where the batches of an epoch are in its order."""

    starts: Indices
    """(batches + 1,) position of the first sample of each batch, and the end of the last."""
    of_rank: Indices
    """(batches,) samples of each batch on one rank, padding included."""
    longest: int
    """Batches with any number of ranks."""
    padded: int
    """Samples that are repeated on all ranks together so that ranks are equal; negative: left out
    for that."""
    left_out: int
    """Samples of the epoch that are in no batch."""

    def __len__(self) -> int:
        return len(self.of_rank)

    @property
    def samples(self) -> int:
        """Samples of one rank, padding included."""
        return int(self.of_rank.sum())


def divide(samples: int, options: LoaderOptions) -> BatchSizes:
    """Divide an epoch into batches whose samples need not be alike; the last may be partial.

    Args:
        samples: of the epoch.
        options: size of the batches, number of ranks, and what happens to partial batches.
    """
    size = options.global_batch_size
    full, rest = divmod(samples, size)
    counts = np.full(full + (rest > 0), size, np.int64)
    counts[full:] = rest
    return _sizes(counts, options)


def divide_by_group(
    order: Indices, groups: NDArray[np.int64], options: LoaderOptions
) -> tuple[Indices, BatchSizes]:
    """Divide an epoch into batches of one group each.

    Partial batches come last, the largest first, or are left out if `options.drop_last`.

    Args:
        order: (positions,) index of the sample at each position.
        groups: (samples,) group of each sample.
        options: size of the batches, number of ranks, and what happens to partial batches.

    Returns:
        The order, batch after batch, and the batches.
    """
    arranged, counts = _group(order, groups[order], options.global_batch_size)
    return arranged, _sizes(counts, options)


def _sizes(counts: Indices, options: LoaderOptions) -> BatchSizes:
    samples = int(counts.sum())
    if options.drop_last:
        counts = counts[counts == options.global_batch_size]
    longest = len(counts)
    world = options.world_size
    of_rank = counts // world if options.pad == "drop" else -(-counts // world)
    padded = int(of_rank.sum()) * world - int(counts.sum())
    # the smallest are the last, so the number of a batch is the same with any number of ranks
    of_rank = of_rank[of_rank > 0]
    counts = counts[: len(of_rank)]
    used = int(np.minimum(of_rank * world, counts).sum())
    return BatchSizes(np.append(0, np.cumsum(counts)), of_rank, longest, padded, samples - used)


def _group(order: Indices, groups: NDArray[np.int64], size: int) -> tuple[Indices, Indices]:
    """Return the samples, batch after batch, and the samples of each batch.

    Args:
        order: (positions,) samples.
        groups: (positions,) group at each position.
        size: samples of a batch.
    """
    count = len(order)
    by_group = np.argsort(groups, kind="stable")
    is_first = np.append(True, np.diff(groups[by_group]) != 0)[:count]
    first = np.flatnonzero(is_first)
    # of each sample among those of its group
    rank = np.arange(count) - np.repeat(first, np.diff(np.append(first, count)))
    starts = np.flatnonzero(rank % size == 0)
    counts = np.diff(np.append(starts, count))
    last = by_group[starts + counts - 1]
    # a full batch follows its last sample; partial ones come at the end, the largest first
    ready = np.where(counts == size, last, count + size - counts)
    sequence = np.argsort(ready, kind="stable")
    counts = counts[sequence]
    offsets = np.repeat(starts[sequence] - (np.cumsum(counts) - counts), counts)
    return order[by_group[np.arange(count) + offsets]], counts
