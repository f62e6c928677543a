"""Shards fetched before they are needed, by threads of the process that hands out batches: it alone knows what comes next.

Workers that need a shard which is not there yet wait for the thread that fetches it, or fetch it themselves. What goes wrong here is only logged: whoever
needs the shard meets the same error and raises it.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.loaders.order.epoch import Indices

logger = logging.getLogger(__name__)

_MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class Need:
    """A shard, and when it is needed."""

    shard: int  # number among the shards of all sources
    first: int  # position in the epoch
    last: int


def needs(order: Indices, start: int, shard: NDArray[np.int32]) -> list[Need]:
    """Return which shards an epoch needs from a position on, in the order in which they are needed first. `shard` is that of each sample."""
    shards = shard[order[start:]]
    if not len(shards):
        return []
    first, last = (np.full(int(shard.max()) + 1, -1, np.int64) for _ in range(2))
    places = np.arange(start, len(order))
    first[shards[::-1]] = places[::-1]  # the last assignment stays
    last[shards] = places
    wanted = np.flatnonzero(first >= 0)
    wanted = wanted[np.argsort(first[wanted])]
    return [
        Need(*numbers)
        for numbers in zip(
            wanted.tolist(), first[wanted].tolist(), last[wanted].tolist(), strict=True
        )
    ]


class Shards(Protocol):
    """Where shards come from, by their numbers over all sources."""

    def fetch(self, shard: int) -> int:
        """Make sure that a shard is in the cache; return the bytes downloaded for it."""

    def release(self, shard: int) -> None:
        """Say that a shard will not be read again in this epoch."""


class Downloads:
    """Counts what prefetchers have downloaded."""

    def __init__(self) -> None:
        self.shards, self.bytes = 0, 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Add a shard of so many bytes; 0: it was there."""
        with self._lock:
            self.shards += size > 0
            self.bytes += size


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a prefetcher goes."""

    ahead: int  # shards that are not needed yet
    max_bytes: int  # of shards in use and on their way
    lag: int = 0  # positions that samples are read behind what has been asked for: batches in the hands of workers


class Prefetcher:
    """Fetches shards before they are needed; shards that are needed now at once, whatever the limits."""

    def __init__(
        self,
        shards: Shards,
        schedule: Sequence[Need],
        sizes: Sequence[int],
        downloads: Downloads,
        limits: Limits,
    ) -> None:
        self._shards, self._downloads, self._limits = shards, downloads, limits
        self._order = [need.shard for need in schedule]
        self._first = np.array([need.first for need in schedule], np.int64)
        self._last = np.array([need.last for need in schedule], np.int64) + limits.lag
        self._sizes = np.array([sizes[shard] for shard in self._order], np.int64)
        self._is_released = np.zeros(len(schedule), bool)
        self._changed = threading.Condition()
        self._position, self._next, self._closed = 0, 0, False
        self._warn_if_tight()
        count = min(_MAX_THREADS, limits.ahead)
        self._threads = [
            threading.Thread(target=self._work, name=f"prefetch-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def advance(self, position: int) -> None:
        """Say up to which position of the epoch samples have been asked for."""
        with self._changed:
            self._position = position
            done = np.flatnonzero((self._last < position) & ~self._is_released)
            self._is_released[done] = True
            self._changed.notify_all()
        for number in done:
            self._shards.release(self._order[number])

    def close(self) -> None:
        """Start nothing more. What is on its way ends in its own time, and is of use to whoever comes next."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (shard := self._take()) is not None:
            try:
                self._downloads.add(self._shards.fetch(shard))
            except DatasetAssetsError as exc:
                logger.warning("could not fetch a shard ahead of time: %s", exc)

    def _take(self) -> int | None:
        with self._changed:
            while not self._closed and self._next < len(self._order):
                if self._may_start():
                    self._next += 1
                    return self._order[self._next - 1]
                self._changed.wait()
        return None

    def _may_start(self) -> bool:
        position, started = self._position, self._next
        if self._first[started] <= position:  # somebody waits for it
            return True
        if started - np.searchsorted(self._first, position, side="right") >= self._limits.ahead:
            return False
        live = self._sizes[:started][self._last[:started] >= position].sum()
        return bool(live + self._sizes[started] <= self._limits.max_bytes)

    def _warn_if_tight(self) -> None:
        ends = np.concatenate([self._first, self._last])
        changes = np.concatenate([self._sizes, -self._sizes])[np.argsort(ends, kind="stable")]
        peak = int(np.cumsum(changes).max(initial=0))
        if peak > self._limits.max_bytes:
            logger.warning(
                "the cache of %d bytes is less than the %d bytes of shards that are in use at a time: they will be downloaded more than once; "
                "raise cache_bytes, or lower window_shards",
                self._limits.max_bytes,
                peak,
            )
