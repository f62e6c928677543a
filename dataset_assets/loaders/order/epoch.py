"""The order of an epoch: a function of (shards, seed, epoch, options) that any process can repeat.

Samples of a set are mixed within a window that glides over its shuffled shards: each sample is
drawn to a random position at most half a window away from that of its shard. So at any time samples
come from about `window_shards` shards, and each shard is needed during one stretch of the epoch.
Sets are then interleaved by weight.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.order.random_streams import DRAWS, MIX, SAMPLES, SHARDS, philox

Indices = NDArray[np.int64]


def window_order(
    shard: NDArray[np.int32], shards: int, window: int, *, seed: int, epoch: int, number: int = 0
) -> Indices:
    """Return the numbers of samples in a shuffled order.

    Args:
        shard: (samples,) shard of each sample, ascending.
        shards: number of shards.
        window: shards whose samples are mixed; `shards` or more is a full shuffle.
        seed: seed of the run.
        epoch: epoch, or pass over the set.
        number: number of the set, if there are several.
    """
    random = philox(seed, epoch, SAMPLES, number).random_raw(len(shard))
    if window < shards:
        shuffled = np.argsort(philox(seed, epoch, SHARDS, number).random_raw(shards), kind="stable")
        position = np.empty(shards, np.uint64)
        position[shuffled] = np.arange(shards, dtype=np.uint64)
        # both ends of the window of each shard, in half shards
        low = np.maximum(2 * position + 1, np.uint64(window)) - np.uint64(window)
        high = np.minimum(2 * position + 1 + np.uint64(window), np.uint64(2 * shards))
        random = (low << np.uint64(32))[shard] + (random >> np.uint64(32)) * (high - low)[shard]
    return np.argsort(random, kind="stable")


@dataclass(frozen=True, slots=True)
class _OrderedSet:
    """One source, as the order needs it."""

    number: int
    first: int  # index of its first sample among all
    shard: NDArray[np.int32]  # of its samples
    shards: int
    kept: Indices | None
    weights: NDArray[np.float64] | None  # cumulative over the kept samples, up to 1

    @property
    def size(self) -> int:
        """Samples of one pass."""
        return len(self.shard) if self.kept is None else len(self.kept)

    def one_pass(self, number: int, options: LoaderOptions) -> Indices:
        """Return the indices of one pass over the set."""
        members = np.arange(len(self.shard)) if self.kept is None else self.kept
        if self.weights is not None:
            random = _uniform(philox(options.seed, number, DRAWS, self.number), self.size)
            drawn = np.searchsorted(self.weights, random, side="right")
            members = np.sort(members[np.minimum(drawn, self.size - 1)])
        if options.shuffle:
            shuffled = window_order(
                self.shard[members],
                self.shards,
                options.window_shards,
                seed=options.seed,
                epoch=number,
                number=self.number,
            )
            members = members[shuffled]
        return members + self.first

    def take(self, epoch: int, count: int, options: LoaderOptions) -> Indices:
        """Return the `count` samples of an epoch.

        They start where the epoch before stopped, pass after pass, so that in time all samples
        are used.
        """
        start = epoch * count
        parts = []
        while count:
            number, skip = divmod(start, self.size)
            part = self.one_pass(number, options)[skip : skip + count]
            parts.append(part)
            start += len(part)
            count -= len(part)
        return np.concatenate([np.zeros(0, np.int64), *parts])


class EpochOrder:
    """The orders of all epochs of some sources.

    Raises:
        SourceError: a source has no samples.
        ConfigurationError: some sources have weights or groups and some do not, or an epoch would
            be empty.
    """

    def __init__(self, sources: Sequence[LoaderSource], options: LoaderOptions) -> None:
        self._options = options
        self._sets: list[_OrderedSet] = []
        first = 0
        for source in sources:
            if not source.samples:
                raise SourceError(
                    f"{source.rows.url} has no samples to load: {len(source.rows)} in its index, "
                    "none kept"
                )
            self._sets.append(_ordered_set(len(self._sets), first, source))
            first += len(source.rows)
        sizes = [each.size for each in self._sets]
        self.counts = _counts(sizes, [source.weight for source in sources], options)
        self.samples = sum(self.counts)
        """Samples of an epoch, before padding."""
        self.groups = _groups(sources)
        """(samples,) group of each sample of all sources; None if batches are mixed."""
        self.mix = _mix_digest(sources, self.counts)
        """Hex digest of all that shapes the order beside shards and options."""

    def epoch(self, epoch: int) -> Indices:
        """Return the indices of the samples of an epoch."""
        parts = [
            each.take(epoch, count, self._options)
            for each, count in zip(self._sets, self.counts, strict=True)
        ]
        order = parts[0] if len(parts) == 1 else self._interleave(parts, epoch)
        repeats = self._options.repeats
        if repeats > 1:
            distinct = -(-len(order) // repeats)
            order = np.repeat(order[:distinct], repeats)[: len(order)]
        return order

    def _interleave(self, parts: list[Indices], epoch: int) -> Indices:
        """Mix the parts so that any stretch has the share of each, give or take one sample."""
        keys = []
        for number, part in enumerate(parts):
            inside = np.full(len(part), 0.5)
            if self._options.shuffle:
                inside = _uniform(philox(self._options.seed, epoch, MIX, number), len(part))
            keys.append((np.arange(len(part)) + inside) / max(len(part), 1))
        return np.concatenate(parts)[np.argsort(np.concatenate(keys), kind="stable")]


def _uniform(random: np.random.Philox, count: int) -> NDArray[Any]:
    """Return numbers from [0, 1) with 53 random bits."""
    numbers: NDArray[Any] = random.random_raw(count) >> np.uint64(11)
    return numbers * 2.0**-53


def _ordered_set(number: int, first: int, source: LoaderSource) -> _OrderedSet:
    kept = None if source.keep is None else np.flatnonzero(source.keep)
    weights: NDArray[Any] | None = None
    if source.sample_weights is not None:
        chosen = np.asarray(source.sample_weights, np.float64)
        if kept is not None:
            chosen = chosen[kept]
        if not chosen.sum() > 0:
            raise ConfigurationError(
                "sample_weights: expected one above 0 among the samples that `keep` leaves"
            )
        weights = np.cumsum(chosen) / chosen.sum()
    rows = source.rows
    return _OrderedSet(number, first, rows.shard, len(rows.shard_bytes), kept, weights)


def _counts(sizes: list[int], weights: list[float | None], options: LoaderOptions) -> list[int]:
    """Return the samples of each set in an epoch, which are the same in every epoch."""
    given = [weight for weight in weights if weight is not None]
    if not given:
        if options.samples_per_epoch is not None:
            raise ConfigurationError(
                "samples_per_epoch: needs weights; give each LoaderSource a weight"
            )
        return sizes
    if len(given) < len(sizes):
        raise ConfigurationError(
            f"weight: expected one for each of {len(sizes)} sources or for none, got {len(given)}"
        )
    shares = [weight / sum(given) for weight in given]
    if options.samples_per_epoch is not None:
        return _apportion(options.samples_per_epoch, shares)
    choose = min if options.stop == "first_exhausted" else max
    # the set that ends the epoch is complete; of the others their share, at least one sample
    deciding = choose(range(len(sizes)), key=lambda number: sizes[number] / shares[number])
    total = sizes[deciding] / shares[deciding]
    counts = [max(1, round(total * share)) for share in shares]
    counts[deciding] = sizes[deciding]
    return counts


def _apportion(total: int, shares: list[float]) -> list[int]:
    """Return integers with that sum, by largest remainder."""
    if total < 1:
        raise ConfigurationError(f"samples_per_epoch: expected at least 1, got {total}")
    counts = [int(total * share) for share in shares]
    numbers = range(len(shares))
    by_remainder = sorted(numbers, key=lambda number: counts[number] - total * shares[number])
    for number in by_remainder[: total - sum(counts)]:
        counts[number] += 1
    return counts


def _groups(sources: Sequence[LoaderSource]) -> Indices | None:
    """Return the groups of the samples of all sources.

    Raises:
        ConfigurationError: some sources have them and some do not.
    """
    given = [np.asarray(each.groups, np.int64) for each in sources if each.groups is not None]
    if not given:
        return None
    if len(given) < len(sources):
        raise ConfigurationError(
            f"groups: expected them for each of {len(sources)} sources or for none, got "
            f"{len(given)}"
        )
    return np.concatenate(given)


def _mix_digest(sources: Sequence[LoaderSource], counts: list[int]) -> str:
    digest = hashlib.sha256(repr(counts).encode())
    for source in sources:
        for values, kind in ((source.keep, np.bool_), (source.sample_weights, np.float64)):
            digest.update(_array_bytes(values, kind))
        if source.groups is not None:
            digest.update(_array_bytes(source.groups, np.int64))
    return digest.hexdigest()[:8]


def _array_bytes(values: Any, kind: type[np.generic]) -> bytes:
    return b"-" if values is None else np.ascontiguousarray(values, kind).tobytes()
