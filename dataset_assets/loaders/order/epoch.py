"""The order of an epoch: a function of (shards, seed, epoch, options) and of nothing else, so any rank, worker or later run computes it again.

Samples of a set are mixed within a window that glides over its shuffled shards: each sample is drawn towards a random place at most half a window away from its
shard's own, so that at any time the samples come from about `window_shards` shards, and each shard is needed once. Sets are then mixed evenly by weight.
Only raw numbers of Philox are used, whose stream never changes; NumPy does not promise that of its shuffles.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.loaders.options import LoaderOptions, LoaderSource

# What random numbers are for, as the highest word of Philox's counter: no two uses share any.
_SHARDS, _SAMPLES, _DRAWS, _MIX, _SAMPLE, _BATCH = range(1, 7)

Indices = NDArray[np.int64]


def philox(seed: int, epoch: int, purpose: int, number: int = 0) -> np.random.Philox:
    """Return the random bits for one purpose."""
    return np.random.Philox(
        key=np.array([seed, epoch], np.uint64), counter=np.array([0, 0, number, purpose], np.uint64)
    )


def sample_random(seed: int, epoch: int, position: int) -> np.random.Generator:
    """Return the randomness of the sample at a place of an epoch: of a sample that comes twice, each has its own."""
    return np.random.Generator(philox(seed, epoch, _SAMPLE, position))


def batch_random(seed: int, epoch: int, position: int) -> np.random.Generator:
    """Return the randomness of the batch whose first sample stands at a place of an epoch."""
    return np.random.Generator(philox(seed, epoch, _BATCH, position))


def window_order(
    shard: NDArray[np.int32], shards: int, window: int, *, seed: int, epoch: int, number: int = 0
) -> Indices:
    """Return the places of samples in a shuffled order.

    Args:
        shard: of each sample, ascending.
        shards: how many there are.
        window: how many shards samples are mixed with; as many as there are is a full shuffle.
        seed: of the run.
        epoch: or pass over the set.
        number: of the set, when there are several.
    """
    random = philox(seed, epoch, _SAMPLES, number).random_raw(len(shard))
    if window < shards:
        place = np.empty(shards, np.uint64)
        place[
            np.argsort(philox(seed, epoch, _SHARDS, number).random_raw(shards), kind="stable")
        ] = np.arange(shards, dtype=np.uint64)
        low = np.maximum(2 * place + 1, np.uint64(window)) - np.uint64(window)  # in half shards
        high = np.minimum(2 * place + 1 + np.uint64(window), np.uint64(2 * shards))
        random = (low << np.uint64(32))[shard] + (random >> np.uint64(32)) * (high - low)[shard]
    return np.argsort(random, kind="stable")


@dataclass(frozen=True, slots=True)
class _Set:
    """One source, as the order sees it."""

    number: int
    first: int  # index of its first sample among all
    shard: NDArray[np.int32]  # of its samples
    shards: int
    kept: Indices | None
    weights: NDArray[np.float64] | None  # cumulated over the kept samples, up to 1

    @property
    def size(self) -> int:
        """Samples of one pass."""
        return len(self.shard) if self.kept is None else len(self.kept)

    def one_pass(self, number: int, options: LoaderOptions) -> Indices:
        """Return the indices of one pass over the set."""
        members = np.arange(len(self.shard)) if self.kept is None else self.kept
        if self.weights is not None:
            uniform = (
                philox(options.seed, number, _DRAWS, self.number).random_raw(self.size)
                >> np.uint64(11)
            ) * 2.0**-53
            members = np.sort(
                members[
                    np.minimum(np.searchsorted(self.weights, uniform, side="right"), self.size - 1)
                ]
            )
        if options.shuffle:
            at = {"seed": options.seed, "epoch": number, "number": self.number}
            members = members[
                window_order(self.shard[members], self.shards, options.window_shards, **at)
            ]
        return members + self.first

    def stretch(self, epoch: int, count: int, options: LoaderOptions) -> Indices:
        """Return what an epoch takes: `count` samples from where the one before stopped, pass after pass, so that in time all samples have their turn."""
        start, parts = epoch * count, []
        while count:
            number, skip = divmod(start, self.size)
            part = self.one_pass(number, options)[skip : skip + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate([np.zeros(0, np.int64), *parts])


class EpochOrder:
    """The orders of all epochs of some sources.

    Raises (when made):
        SourceError: there are no samples.
        ConfigurationError: weights for some sources only, or an epoch without samples.
    """

    def __init__(self, sources: Sequence[LoaderSource], options: LoaderOptions) -> None:
        starts = np.cumsum([0, *(len(source.rows) for source in sources)])
        self._sets = [
            _set(number, int(first), source)
            for number, (first, source) in enumerate(zip(starts, sources, strict=False))
        ]
        self._options = options
        for each, source in zip(self._sets, sources, strict=True):
            if not each.size:
                raise SourceError(
                    f"{source.rows.url} has no samples to load: {len(source.rows)} in its index, none kept"
                )
        self.counts = _counts(
            [each.size for each in self._sets], [source.weight for source in sources], options
        )
        self.samples = sum(self.counts)  # of an epoch, before padding
        self.mix = _mix(
            sources, self.counts
        )  # hex; of everything about the sources that shapes the order beside their shards

    def epoch(self, epoch: int) -> Indices:
        """Return the indices of the samples of an epoch."""
        options = self._options
        parts = [
            each.stretch(epoch, count, options)
            for each, count in zip(self._sets, self.counts, strict=True)
        ]
        order = parts[0] if len(parts) == 1 else self._mixed(parts, epoch)
        if options.repeats > 1:
            order = np.repeat(order[: -(-len(order) // options.repeats)], options.repeats)[
                : len(order)
            ]
        return order

    def _mixed(self, parts: list[Indices], epoch: int) -> Indices:
        """Return the parts interleaved: at any place as much of each has come as its share says, give or take one."""
        keys = []
        for number, part in enumerate(parts):
            inside = np.full(len(part), 0.5)
            if self._options.shuffle:
                inside = (
                    philox(self._options.seed, epoch, _MIX, number).random_raw(len(part))
                    >> np.uint64(11)
                ) * 2.0**-53
            keys.append((np.arange(len(part)) + inside) / max(len(part), 1))
        return np.concatenate(parts)[np.argsort(np.concatenate(keys), kind="stable")]


def _set(number: int, first: int, source: LoaderSource) -> _Set:
    kept = None if source.keep is None else np.flatnonzero(source.keep)
    weights = None
    if source.sample_weights is not None:
        chosen = np.asarray(source.sample_weights, np.float64)[
            slice(None) if kept is None else kept
        ]
        if not chosen.sum() > 0:
            raise ConfigurationError(
                "sample_weights: expected one above 0 among the samples that `keep` leaves"
            )
        weights = np.cumsum(chosen) / chosen.sum()
    return _Set(number, first, source.rows.shard, len(source.rows.files), kept, weights)


def _counts(sizes: list[int], weights: list[float | None], options: LoaderOptions) -> list[int]:
    """Return how many samples of each set an epoch has: exactly the same in every epoch."""
    given = [weight for weight in weights if weight is not None]
    if not given:
        if options.samples_per_epoch is not None:
            raise ConfigurationError(
                "samples_per_epoch: needs weights; give each LoaderSource a weight"
            )
        return sizes
    if len(given) < len(sizes):
        raise ConfigurationError(
            f"weight: expected one for each of {len(sizes)} sources or for none, came {len(given)}"
        )
    shares = [weight / sum(given) for weight in given]
    if options.samples_per_epoch is not None:
        return _apportioned(options.samples_per_epoch, shares)
    choose = min if options.stop == "first_exhausted" else max
    # the set that decides is taken whole; the others as their share says, at least one sample
    decides = choose(range(len(sizes)), key=lambda number: sizes[number] / shares[number])
    total = sizes[decides] / shares[decides]
    return [
        size if number == decides else max(1, round(total * shares[number]))
        for number, size in enumerate(sizes)
    ]


def _apportioned(total: int, shares: list[float]) -> list[int]:
    """Return whole numbers with that sum, by largest remainder."""
    if total < 1:
        raise ConfigurationError(f"samples_per_epoch: expected at least 1, came {total}")
    counts = [int(total * share) for share in shares]
    rest = sorted(
        range(len(shares)), key=lambda number: (counts[number] - total * shares[number], number)
    )
    for number in rest[: total - sum(counts)]:
        counts[number] += 1
    return counts


def _mix(sources: Sequence[LoaderSource], counts: list[int]) -> str:
    digest = hashlib.sha256(repr(counts).encode())
    for source in sources:
        for values, kind in ((source.keep, np.bool_), (source.sample_weights, np.float64)):
            digest.update(b"-" if values is None else np.ascontiguousarray(values, kind).tobytes())
    return digest.hexdigest()[:8]
