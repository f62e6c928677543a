"""Memory of batches that is reused, between processes and within one.

Sending a batch between processes costs the page faults of new memory: several ms for each image of
640 x 640 px. So forked workers write into buffers that exist before them, and batches are made in
memory that nothing refers to any more.
"""

import mmap
import multiprocessing
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dataset_assets.loaders.options import LoaderOptions
from dataset_assets.loaders.torch.augment_options import AugmentOptions

_POOLED = 3  # batches whose memory is kept
# Limits: three channels, int64. Pages that are not written to take no memory.
_PIXEL_BYTES = 3
_LABEL_BYTES = 8


class BufferedBatch(NamedTuple):
    """A batch in a buffer: shapes, and the small parts themselves."""

    buffer: int
    pixels: tuple[int, ...]
    labels: tuple[int, ...]
    labels_dtype: str
    moments: tuple[NDArray[Any], NDArray[Any]]


class WorkerBuffers:
    """Buffers that forked workers share with the main process, used in turn.

    A worker gets another batch to make when one of its own is taken, and the one before that has
    been read by then. So with more buffers per worker than batches ahead, none is written while it
    is read.
    """

    def __init__(self, per_worker: int, workers: int, max_pixels: int) -> None:
        self._per_worker = per_worker
        self._next = 0
        self._labels_at = max_pixels * _PIXEL_BYTES
        size = max_pixels * (_PIXEL_BYTES + _LABEL_BYTES)
        self._memory = [mmap.mmap(-1, size) for _ in range(per_worker * workers)]

    @classmethod
    def create(cls, augment: AugmentOptions, options: LoaderOptions) -> "WorkerBuffers | None":
        """Return buffers if workers are forked and batches have a known size, otherwise None."""
        is_forked = (options.start_method or multiprocessing.get_start_method()) == "fork"
        if not (options.num_workers and is_forked and augment.height and augment.width):
            return None
        pixels = options.batch_size * augment.height * augment.width
        return cls(options.prefetch_batches + 2, options.num_workers, pixels)

    def write(self, worker: int, samples: Sequence[tuple[Any, ...]]) -> BufferedBatch | None:
        """Write a batch into the next buffer of a worker; return None if labels are not maps."""
        pixels, labels, means, stdevs = zip(*samples, strict=True)
        first = labels[0]
        expected = (getattr(first, "dtype", None), pixels[0].shape[:2])
        if any(
            not isinstance(each, np.ndarray) or (each.dtype, each.shape) != expected
            for each in labels
        ):
            return None
        buffer = worker * self._per_worker + self._next % self._per_worker
        self._next += 1
        batch = BufferedBatch(
            buffer,
            (len(samples), *pixels[0].shape),
            (len(samples), *first.shape),
            first.dtype.name,
            (np.stack(means), np.stack(stdevs)),
        )
        for values, target in zip((pixels, labels), self._views(batch), strict=True):
            np.stack(values, out=target)
        return batch

    def read(self, batch: BufferedBatch) -> list[Any]:
        """Return pixels and labels, as views of the buffer, and the moments."""
        return [*self._views(batch), *map(torch.from_numpy, batch.moments)]

    def _views(self, batch: BufferedBatch) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        memory = self._memory[batch.buffer]
        count = int(np.prod(batch.pixels))
        pixels = np.frombuffer(memory, np.uint8, count).reshape(batch.pixels)
        count = int(np.prod(batch.labels))
        labels = np.frombuffer(memory, batch.labels_dtype, count, offset=self._labels_at)
        return pixels, labels.reshape(batch.labels)


def _reference_count(arrays: list[NDArray[Any]], index: int) -> int:
    return sys.getrefcount(arrays[index])


#: References to an array that only a list holds, as this Python counts them.
_FREE = _reference_count([np.empty(0)], 0)


class BatchPool:
    """Memory of batches, reused when nothing refers to a batch in it any more.

    A tensor, a view of it, and an array of it hold the array that it was made of, so the reference
    count of that array is enough.
    """

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned
        self._arrays: list[NDArray[Any]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"_pinned": self._pinned, "_arrays": []}

    def take(self, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
        """Return an uninitialized tensor."""
        if self._pinned:  # torch pools such memory itself
            return torch.empty(shape, dtype=getattr(torch, dtype), pin_memory=True)
        self._arrays = [
            each for each in self._arrays if each.shape == shape and each.dtype == dtype
        ]
        for index in range(len(self._arrays)):
            if _reference_count(self._arrays, index) == _FREE:
                return torch.from_numpy(self._arrays[index])
        self._arrays = [*self._arrays[1 - _POOLED :], np.empty(shape, dtype)]
        return torch.from_numpy(self._arrays[-1])
