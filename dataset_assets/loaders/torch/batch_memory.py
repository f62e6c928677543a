"""Memory of batches that is used again, between processes and within one.

What passing memory between processes costs is its pages, which are new for every batch otherwise: several ms for each picture of 640 x 640 px. So forked
workers write into slots that were there before them, and batches are made in memory that nobody holds any more.
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
from dataset_assets.loaders.torch.augment import AugmentOptions

_KEPT = 3  # batches whose memory is kept
_PIXEL_BYTES, _LABEL_BYTES = (
    3,
    8,
)  # at most: three channels, int64; pages that are not written to take no memory


class Sent(NamedTuple):
    """A batch in a slot, and of it what is small."""

    slot: int
    pixels: tuple[int, ...]  # shape
    labels: tuple[int, ...]
    labels_dtype: str
    moments: tuple[NDArray[Any], NDArray[Any]]


class Slots:
    """Memory that forked workers share with this process: for each worker as many slots as it may have batches on the way, used in turn.

    A worker is given another batch to make when one of its own is taken, and the one before that has been read then. So with more slots than batches ahead
    none is written while it is read.
    """

    def __init__(self, slots_per_worker: int, workers: int, max_pixels: int) -> None:
        self._per_worker, self._turn = slots_per_worker, 0
        self._labels_at = max_pixels * _PIXEL_BYTES
        self._memory = [
            mmap.mmap(-1, max_pixels * (_PIXEL_BYTES + _LABEL_BYTES))
            for _ in range(slots_per_worker * workers)
        ]

    @classmethod
    def of(cls, augment: AugmentOptions, options: LoaderOptions) -> "Slots | None":
        """Return slots, where workers are forked and batches have a size that is known."""
        forked = (options.start_method or multiprocessing.get_start_method()) == "fork"
        if not (options.num_workers and forked and augment.height and augment.width):
            return None
        return cls(
            options.prefetch_batches + 2,
            options.num_workers,
            options.batch_size * augment.height * augment.width,
        )

    def write(self, worker: int, samples: Sequence[tuple[Any, ...]]) -> Sent | None:
        """Put a batch into the next slot of a worker; None when its labels are no label maps."""
        pixels, labels, means, stdevs = zip(*samples, strict=True)
        first = labels[0]
        if not all(
            isinstance(each, np.ndarray)
            and (each.dtype, each.shape) == (first.dtype, pixels[0].shape[:2])
            for each in labels
        ):
            return None
        number = worker * self._per_worker + self._turn % self._per_worker
        self._turn += 1
        count = len(samples)
        sent = Sent(
            number,
            (count, *pixels[0].shape),
            (count, *first.shape),
            first.dtype.name,
            (np.stack(means), np.stack(stdevs)),
        )
        for values, target in zip((pixels, labels), self._views(sent), strict=True):
            np.stack(values, out=target)
        return sent

    def read(self, sent: Sent) -> list[Any]:
        """Return the parts of a batch: pixels and labels where they are."""
        return [*self._views(sent), *map(torch.from_numpy, sent.moments)]

    def _views(self, sent: Sent) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        memory = self._memory[sent.slot]
        pixels = np.frombuffer(memory, np.uint8, int(np.prod(sent.pixels))).reshape(sent.pixels)
        labels = np.frombuffer(
            memory, sent.labels_dtype, int(np.prod(sent.labels)), offset=self._labels_at
        ).reshape(sent.labels)
        return pixels, labels


def _references(arrays: list[NDArray[Any]], index: int) -> int:
    return sys.getrefcount(arrays[index])


#: References to an array that only a list holds, as this Python counts them.
_FREE = _references([np.empty(0)], 0)


class Memory:
    """Memory of batches, used again when nobody holds a batch in it any more: its pages are there already.

    A tensor, a view of one, and an array of one hold the array that it was made of, so the count of references tells.
    """

    def __init__(self, *, pinned: bool) -> None:
        self._pinned, self._arrays = pinned, list[NDArray[Any]]()

    def __getstate__(self) -> dict[str, Any]:
        return {"_pinned": self._pinned, "_arrays": []}

    def take(self, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
        """Return a batch with whatever in it."""
        if self._pinned:  # torch keeps such memory itself
            return torch.empty(shape, dtype=getattr(torch, dtype), pin_memory=True)
        self._arrays = [
            each for each in self._arrays if each.shape == shape and each.dtype == dtype
        ]
        for index in range(len(self._arrays)):
            if _references(self._arrays, index) == _FREE:
                return torch.from_numpy(self._arrays[index])
        self._arrays = [*self._arrays[1 - _KEPT :], np.empty(shape, dtype)]
        return torch.from_numpy(self._arrays[-1])
