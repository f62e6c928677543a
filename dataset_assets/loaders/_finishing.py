"""Batches that are normalised by the process that hands them out: workers pass 8-bit pixels on, through memory that both sides use again and again.

What passing memory between processes costs is its pages, which are new for every batch otherwise: several ms for each picture of 640 x 640 px. So forked
workers write into slots that were there before them, and batches are made in memory that nobody holds any more.
"""

import mmap
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from dataset_assets.loaders._dataset import Collator
from dataset_assets.loaders._loader_options import LoaderOptions, LoaderSource
from dataset_assets.loaders._sample import Transform
from dataset_assets.loaders.augment import AugmentOptions, normalize
from dataset_assets.loaders.torch_loader import ShardLoader, stack

_KEPT = 3  # batches whose memory is kept
_PIXEL_BYTES, _LABEL_BYTES = 3, 8  # at most: three channels, int64; pages that are not written to take no memory


class FinishingLoader(ShardLoader):
    """Its transform gives (pixels (H, W[, C]) uint8, labels (H, W), mean, deviation), its batches have the normalised (B, C, H, W) in front.

    Its `collate_fn` makes whole batches, for whoever builds another loader of its parts (accelerate does); its own workers have one that leaves that out.
    """

    def __init__(self, source: LoaderSource, transform: Transform, augment: AugmentOptions, options: LoaderOptions) -> None:
        super().__init__(source, transform, _Whole(augment), options=options)
        self._augment = augment
        self._images, self._labels = _Memory(pinned=options.pin_memory), _Memory(pinned=options.pin_memory)
        self._slots: _Slots | None = None  # of the workers that were started last

    def _get_iterator(self) -> Any:
        self._slots = _Slots.of(self._augment, self.options)
        whole, self.collate_fn = self.collate_fn, Collator(_Parts(self._slots))
        try:
            return super()._get_iterator()
        finally:
            self.collate_fn = whole

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """See `ShardLoader`."""
        slots = None
        with closing(super().__iter__()) as batches:  # type: ignore[type-var]
            for batch in batches:
                slots = slots or self._slots  # another iteration may start workers of its own later
                yield self._finished(slots.read(batch) if slots is not None and isinstance(batch, _Sent) else batch)

    def _finished(self, parts: Sequence[Any]) -> list[Any]:
        pixels, labels, means, stdevs = parts
        first = np.asarray(pixels[0])
        channels = 1 if first.ndim == 2 else first.shape[2]
        batch = self._images.take((len(pixels), channels, *first.shape[:2]), self._augment.dtype)
        for picture, mean, stdev, target in zip(pixels, means.numpy(), stdevs.numpy(), batch.numpy(), strict=True):
            normalize(np.asarray(picture), np.asarray(mean), np.asarray(stdev), self._augment, out=target)
        if isinstance(labels, np.ndarray):  # in a slot
            kept = self._labels.take(labels.shape, labels.dtype.name)
            kept.numpy()[...] = labels
            labels = kept
        return [batch, labels, means, stdevs]


class _Whole:
    """Collates to whole batches. Picklable."""

    def __init__(self, augment: AugmentOptions) -> None:
        self._augment = augment

    def __call__(self, samples: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> list[Any]:
        del rng
        return list(stack([(normalize(pixels, mean, stdev, self._augment), label, mean, stdev) for pixels, label, mean, stdev in samples]))


class _Parts:
    """Collates to pixels, labels, means and deviations, in a slot where there is one. Picklable without slots."""

    def __init__(self, slots: "_Slots | None") -> None:
        self._slots = slots

    def __call__(self, samples: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> Any:
        del rng
        worker = get_worker_info()
        if worker is None:
            pixels, *others = zip(*samples, strict=True)
            return [list(pixels), *map(_stacked, others)]
        sent = self._slots.write(worker.id, samples) if self._slots is not None else None
        return list(stack(samples)) if sent is None else sent


class _Sent(NamedTuple):
    """A batch in a slot, and of it what is small."""

    slot: int
    pixels: tuple[int, ...]  # shape
    labels: tuple[int, ...]
    labels_dtype: str
    moments: tuple[NDArray[Any], NDArray[Any]]


class _Slots:
    """Memory that forked workers share with this process: for each worker as many slots as it may have batches on the way, used in turn.

    A worker is given another batch to make when one of its own is taken, and the one before that has been read then. So with more slots than batches ahead
    none is written while it is read.
    """

    def __init__(self, slots_per_worker: int, workers: int, max_pixels: int) -> None:
        self._per_worker, self._turn = slots_per_worker, 0
        self._labels_at = max_pixels * _PIXEL_BYTES
        self._memory = [mmap.mmap(-1, max_pixels * (_PIXEL_BYTES + _LABEL_BYTES)) for _ in range(slots_per_worker * workers)]

    @classmethod
    def of(cls, augment: AugmentOptions, options: LoaderOptions) -> "_Slots | None":
        """Return slots, where workers are forked and batches have a size that is known."""
        forked = (options.start_method or multiprocessing.get_start_method()) == "fork"
        if not (options.num_workers and forked and augment.height and augment.width):
            return None
        return cls(options.prefetch_batches + 2, options.num_workers, options.batch_size * augment.height * augment.width)

    def write(self, worker: int, samples: Sequence[tuple[Any, ...]]) -> _Sent | None:
        """Put a batch into the next slot of a worker; None when its labels are no label maps."""
        pixels, labels, means, stdevs = zip(*samples, strict=True)
        first = labels[0]
        if not all(isinstance(each, np.ndarray) and (each.dtype, each.shape) == (first.dtype, pixels[0].shape[:2]) for each in labels):
            return None
        number = worker * self._per_worker + self._turn % self._per_worker
        self._turn += 1
        count = len(samples)
        sent = _Sent(number, (count, *pixels[0].shape), (count, *first.shape), first.dtype.name, (np.stack(means), np.stack(stdevs)))
        for values, target in zip((pixels, labels), self._views(sent), strict=True):
            np.stack(values, out=target)
        return sent

    def read(self, sent: _Sent) -> list[Any]:
        """Return the parts of a batch: pixels and labels where they are."""
        return [*self._views(sent), *map(torch.from_numpy, sent.moments)]

    def _views(self, sent: _Sent) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        memory = self._memory[sent.slot]
        pixels = np.frombuffer(memory, np.uint8, int(np.prod(sent.pixels))).reshape(sent.pixels)
        labels = np.frombuffer(memory, sent.labels_dtype, int(np.prod(sent.labels)), offset=self._labels_at).reshape(sent.labels)
        return pixels, labels


def _stacked(values: Sequence[Any]) -> torch.Tensor:
    if isinstance(values[0], np.ndarray):
        return torch.from_numpy(np.stack(values))
    stacked: torch.Tensor = stack([(value,) for value in values])[0]
    return stacked


def _references(arrays: list[NDArray[Any]], index: int) -> int:
    return sys.getrefcount(arrays[index])


#: References to an array that only a list holds, as this Python counts them.
_FREE = _references([np.empty(0)], 0)


class _Memory:
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
        self._arrays = [each for each in self._arrays if each.shape == shape and each.dtype == dtype]
        for index in range(len(self._arrays)):
            if _references(self._arrays, index) == _FREE:
                return torch.from_numpy(self._arrays[index])
        self._arrays = [*self._arrays[1 - _KEPT :], np.empty(shape, dtype)]
        return torch.from_numpy(self._arrays[-1])
