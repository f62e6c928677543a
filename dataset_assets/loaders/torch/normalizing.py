"""Batches that the main process normalizes: workers send 8-bit pixels, a quarter of the bytes."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.sample import Collate, Transform
from dataset_assets.loaders.torch.augment import normalize
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.dataset import Collator
from dataset_assets.loaders.torch.loader import ShardLoader, stack
from dataset_assets.loaders.torch.shared_batches import BatchPool, BufferedBatch, WorkerBuffers


class NormalizingLoader(ShardLoader):
    """A loader whose batches are (images, labels, means, deviations).

    Images are (B, C, H, W), normalized. The transform returns (pixels (H, W) or (H, W, C) uint8,
    labels (H, W), mean, deviation). `collate_fn` makes complete batches, for trainers that build
    another loader of its parts, as accelerate does; its own workers use one that does not
    normalize.
    """

    def __init__(
        self,
        source: LoaderSource,
        transform: Transform,
        augment: AugmentOptions,
        options: LoaderOptions,
    ) -> None:
        super().__init__(source, transform, _NormalizingCollate(augment), options=options)
        self._augment = augment
        self._images = BatchPool(pinned=options.pin_memory)
        self._labels = BatchPool(pinned=options.pin_memory)
        self._buffers: WorkerBuffers | None = None  # of the workers that were started last

    def _get_iterator(self) -> Any:
        """Start the workers of torch, with a function that leaves normalizing to this process."""
        self._buffers = WorkerBuffers.create(self._augment, self.options)
        return DataLoader._get_iterator(self._with_collate(_RawCollate(self._buffers)))

    def _with_collate(self, collate: Collate) -> "NormalizingLoader":
        """Return a copy that shares everything but `collate_fn`, which stays complete here."""
        other = copy.copy(self)
        other.collate_fn = Collator(collate)
        return other

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of the epoch, with the errors of `ShardLoader`."""
        buffers = None
        with closing(super().__iter__()) as batches:  # type: ignore[type-var]
            for batch in batches:
                # another iteration may start workers with buffers of their own later
                buffers = buffers or self._buffers
                if buffers is not None and isinstance(batch, BufferedBatch):
                    yield self._normalized(buffers.read(batch))
                else:
                    yield self._normalized(batch)

    def _normalized(self, parts: Sequence[Any]) -> list[Any]:
        pixels, labels, means, stdevs = parts
        first = np.asarray(pixels[0])
        channels = 1 if first.ndim == 2 else first.shape[2]
        batch = self._images.take((len(pixels), channels, *first.shape[:2]), self._augment.dtype)
        samples = zip(pixels, means.numpy(), stdevs.numpy(), batch.numpy(), strict=True)
        for image, mean, stdev, target in samples:
            moments = np.asarray(mean), np.asarray(stdev)
            normalize(np.asarray(image), *moments, self._augment, out=target)
        if isinstance(labels, np.ndarray):  # in a buffer that will be reused
            kept = self._labels.take(labels.shape, labels.dtype.name)
            kept.numpy()[...] = labels
            labels = kept
        return [batch, labels, means, stdevs]


class _NormalizingCollate:
    """Makes complete batches. Picklable."""

    def __init__(self, augment: AugmentOptions) -> None:
        self._augment = augment

    def __call__(
        self,
        samples: Sequence[tuple[Any, ...]],
        rng: np.random.Generator,
    ) -> list[Any]:
        normalized = [
            (normalize(pixels, mean, stdev, self._augment), label, mean, stdev)
            for pixels, label, mean, stdev in samples
        ]
        return list(stack(normalized))


class _RawCollate:
    """Makes batches that are not normalized, in a buffer if possible. Picklable without buffers."""

    def __init__(self, buffers: WorkerBuffers | None) -> None:
        self._buffers = buffers

    def __call__(
        self,
        samples: Sequence[tuple[Any, ...]],
        rng: np.random.Generator,
    ) -> Any:
        worker = get_worker_info()
        if worker is None:
            pixels, *others = zip(*samples, strict=True)
            return [list(pixels), *map(_stack_field, others)]
        batch = None
        if self._buffers is not None:
            batch = self._buffers.write(worker.id, samples)
        return list(stack(samples)) if batch is None else batch


def _stack_field(values: Sequence[Any]) -> torch.Tensor:
    if isinstance(values[0], np.ndarray):
        return torch.from_numpy(np.stack(values))
    stacked: torch.Tensor = stack([(value,) for value in values])[0]
    return stacked
