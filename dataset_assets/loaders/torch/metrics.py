"""Figures of a loader: numbers that worker processes share with the process that hands out batches, and what is made of them."""

import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import torch

_KEPT = 32  # bad samples that are remembered by index, per worker


class Figure(IntEnum):
    """Columns of the shared numbers, one row per worker and one for the process itself; each row has one writer."""

    SAMPLES = 0
    BYTES_READ = 1
    SHARDS_DOWNLOADED = 2
    BYTES_DOWNLOADED = 3
    BAD = 4
    BAD_EPOCH = 5  # the epoch that BAD_IN_EPOCH counts
    BAD_IN_EPOCH = 6


_WIDTH = len(Figure)


class Figures:
    """Shared numbers. Workers may be ahead of the batches that were handed out."""

    def __init__(self, workers: int) -> None:
        self._rows = torch.zeros((workers + 1, _WIDTH + _KEPT), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def _row(self) -> Any:
        worker = torch.utils.data.get_worker_info()
        return self._rows[-1 if worker is None else worker.id % len(self._rows)].numpy()

    def add_sample(self, size: int) -> None:
        """Add a sample of so many bytes."""
        row = self._row
        row[Figure.SAMPLES] += 1
        row[Figure.BYTES_READ] += size

    def add(self, figure: Figure, number: int) -> None:
        """Add to a figure."""
        self._row[figure] += number

    def add_bad(self, epoch: int, index: int) -> int:
        """Note a bad sample; return how many there have been in this epoch, in all workers."""
        row = self._row
        if row[Figure.BAD_EPOCH] != epoch:
            row[Figure.BAD_EPOCH], row[Figure.BAD_IN_EPOCH] = epoch, 0
        row[_WIDTH + row[Figure.BAD] % _KEPT] = index
        row[Figure.BAD] += 1
        row[Figure.BAD_IN_EPOCH] += 1
        rows = self._rows.numpy()
        return int(rows[rows[:, Figure.BAD_EPOCH] == epoch, Figure.BAD_IN_EPOCH].sum())

    def total(self, figure: Figure) -> int:
        """Return the sum over all workers."""
        return int(self._rows[:, figure].sum())

    def bad_indices(self) -> list[int]:
        """Return the indices of the latest bad samples, sorted, each once."""
        found = {
            int(index)
            for row in self._rows.numpy()
            for index in row[_WIDTH : _WIDTH + min(int(row[Figure.BAD]), _KEPT)]
        }
        return sorted(found)


class Clockwork:
    """How long batches were waited for, and how long it all took, in s. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.batches, self.wait_s, self.busy_s = 0, 0.0, 0.0
        self._clock = clock
        self._asked = self._since = clock()

    def start(self) -> None:
        """Note that an epoch starts."""
        self._since = self._asked = self._clock()

    def ask(self) -> None:
        """Note that a batch is asked for."""
        self._asked = self._clock()

    def got(self) -> None:
        """Note that it came."""
        now = self._clock()
        self.batches += 1
        self.wait_s += now - self._asked
        self.busy_s += now - self._since
        self._since = now
