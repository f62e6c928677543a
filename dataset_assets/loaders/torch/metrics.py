"""Metrics of a loader: counters that workers share with the main process, and wait times."""

import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import torch

_BAD_KEPT = 32  # bad samples per worker whose index is kept


class Metric(IntEnum):
    """Columns of the shared counters. There is a row per worker, each with one writer."""

    SAMPLES = 0
    BYTES_READ = 1
    SHARDS_DOWNLOADED = 2
    BYTES_DOWNLOADED = 3
    BAD = 4
    BAD_EPOCH = 5  # the epoch that BAD_IN_EPOCH counts
    BAD_IN_EPOCH = 6


_WIDTH = len(Metric)


class SharedCounters:
    """Counters in shared memory. Workers may be ahead of the batches that were handed out."""

    def __init__(self, workers: int) -> None:
        rows = torch.zeros((workers + 1, _WIDTH + _BAD_KEPT), dtype=torch.int64)
        self._rows = rows.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def _row(self) -> Any:
        worker = torch.utils.data.get_worker_info()
        return self._rows[-1 if worker is None else worker.id % len(self._rows)].numpy()

    def add_sample(self, size: int) -> None:
        """Count a sample of `size` bytes."""
        row = self._row
        row[Metric.SAMPLES] += 1
        row[Metric.BYTES_READ] += size

    def add_download(self, size: int) -> None:
        """Count a shard of `size` bytes that reading a sample has downloaded."""
        row = self._row
        row[Metric.SHARDS_DOWNLOADED] += 1
        row[Metric.BYTES_DOWNLOADED] += size

    def add_bad(self, epoch: int, index: int) -> int:
        """Count a bad sample; return the number of them in this epoch in all workers."""
        row = self._row
        if row[Metric.BAD_EPOCH] != epoch:
            row[Metric.BAD_EPOCH] = epoch
            row[Metric.BAD_IN_EPOCH] = 0
        row[_WIDTH + row[Metric.BAD] % _BAD_KEPT] = index
        row[Metric.BAD] += 1
        row[Metric.BAD_IN_EPOCH] += 1
        rows = self._rows.numpy()
        return int(rows[rows[:, Metric.BAD_EPOCH] == epoch, Metric.BAD_IN_EPOCH].sum())

    def total(self, metric: Metric) -> int:
        """Return the sum over all workers."""
        return int(self._rows[:, metric].sum())

    def bad_indices(self) -> list[int]:
        """Return the distinct indices of the latest bad samples, sorted."""
        found = {
            int(index)
            for row in self._rows.numpy()
            for index in row[_WIDTH : _WIDTH + min(int(row[Metric.BAD]), _BAD_KEPT)]
        }
        return sorted(found)


class WaitTimer:
    """Time spent waiting for batches, and in all, in seconds. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.batches = 0
        self.wait_s = 0.0
        self.total_s = 0.0
        self._clock = clock
        self._requested = self._last = clock()

    def start(self) -> None:
        """Note that an epoch starts."""
        self._last = self._requested = self._clock()

    def request(self) -> None:
        """Note that a batch is requested."""
        self._requested = self._clock()

    def receive(self) -> None:
        """Note that a batch was received."""
        now = self._clock()
        self.batches += 1
        self.wait_s += now - self._requested
        self.total_s += now - self._last
        self._last = now
