"""Downloading shards before they are needed, in threads of the process that hands out batches.

Only that process knows which shards come next. A worker that needs a shard before it is there waits
for the thread that downloads it, or downloads it itself. Errors are only logged here: whoever needs
the shard meets the same error and raises it.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DatasetAssetsError

logger = logging.getLogger(__name__)

_MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class ShardUse:
    """A shard, and the first and last position of an epoch that need it."""

    shard: int  # number among the shards of all sources
    first: int
    last: int


def shard_uses(order: NDArray[np.int64], start: int, shard: NDArray[np.int32]) -> list[ShardUse]:
    """Return the shards that an epoch needs, by their first use.

    Args:
        order: (positions,) index of the sample at each position.
        start: position to start from.
        shard: (samples,) shard of each sample.
    """
    shards = shard[order[start:]]
    if not len(shards):
        return []
    first, last = (np.full(int(shard.max()) + 1, -1, np.int64) for _ in range(2))
    positions = np.arange(start, len(order))
    # of several assignments to one element the last one stays
    first[shards[::-1]] = positions[::-1]
    last[shards] = positions
    wanted = np.flatnonzero(first >= 0)
    wanted = wanted[np.argsort(first[wanted])]
    columns = (wanted.tolist(), first[wanted].tolist(), last[wanted].tolist())
    return [ShardUse(*numbers) for numbers in zip(*columns, strict=True)]


class Shards(Protocol):
    """Shards of all sources, by number."""

    def fetch(self, shard: int) -> int:
        """Download a shard unless it is cached; return the bytes that were downloaded."""

    def release(self, shard: int) -> None:
        """Note that a shard will not be read again in this epoch."""


class Downloads:
    """Counts what prefetchers have downloaded."""

    def __init__(self) -> None:
        self.shards = 0
        self.bytes = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Add a shard of `size` bytes; 0 if it was cached."""
        with self._lock:
            self.shards += size > 0
            self.bytes += size


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefetchLimits:
    """How far a prefetcher goes ahead."""

    ahead: int
    """Shards that are not needed yet."""
    max_bytes: int
    """Size of all shards in use or being downloaded."""
    lag: int = 0
    """Positions between what was requested and what has been read: batches that workers make."""


class Prefetcher:
    """Downloads shards ahead, within limits; shards that are needed now at once."""

    def __init__(
        self,
        shards: Shards,
        uses: Sequence[ShardUse],
        sizes: Sequence[int],
        downloads: Downloads,
        limits: PrefetchLimits,
    ) -> None:
        self._shards = shards
        self._downloads = downloads
        self._limits = limits
        self._order = [use.shard for use in uses]
        self._first = np.array([use.first for use in uses], np.int64)
        self._last = np.array([use.last for use in uses], np.int64) + limits.lag
        self._sizes = np.array([sizes[shard] for shard in self._order], np.int64)
        self._is_released = np.zeros(len(uses), bool)
        self._changed = threading.Condition()
        self._position = 0
        self._next = 0
        self._is_closed = False
        self._warn_if_tight()
        self._threads = [
            threading.Thread(target=self._work, name=f"prefetch-{number}", daemon=True)
            for number in range(min(_MAX_THREADS, limits.ahead))
        ]
        for thread in self._threads:
            thread.start()

    def advance(self, position: int) -> None:
        """Note up to which position of the epoch samples have been requested."""
        with self._changed:
            self._position = position
            done = np.flatnonzero((self._last < position) & ~self._is_released)
            self._is_released[done] = True
            self._changed.notify_all()
        for number in done:
            self._shards.release(self._order[number])

    def close(self) -> None:
        """Start no more downloads. Those in progress complete and stay in the cache."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (shard := self._next_shard()) is not None:
            try:
                self._downloads.add(self._shards.fetch(shard))
            except DatasetAssetsError as exc:
                logger.warning("could not download a shard ahead: %s", exc)

    def _next_shard(self) -> int | None:
        """Wait until a download may start; return its shard, or None at the end."""
        with self._changed:
            while not self._is_closed and self._next < len(self._order):
                if self._may_start():
                    self._next += 1
                    return self._order[self._next - 1]
                self._changed.wait()
        return None

    def _may_start(self) -> bool:
        position = self._position
        started = self._next
        if self._first[started] <= position:  # a worker waits for it
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
                "the cache of %d bytes is smaller than the %d bytes of shards in use at a time: "
                "they will be downloaded repeatedly; raise cache_bytes, or lower window_shards",
                self._limits.max_bytes,
                peak,
            )
