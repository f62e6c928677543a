"""Batches that are normalised by the process that hands them out: workers pass 8-bit pixels on, a quarter of the bytes."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.sample import Transform
from dataset_assets.loaders.torch.augment import AugmentOptions, normalize
from dataset_assets.loaders.torch.batch_memory import Memory, Sent, Slots
from dataset_assets.loaders.torch.dataset import Collator
from dataset_assets.loaders.torch.loader import ShardLoader, stack


class FinishingLoader(ShardLoader):
    """Its transform gives (pixels (H, W[, C]) uint8, labels (H, W), mean, deviation), its batches have the normalised (B, C, H, W) in front.

    Its `collate_fn` makes whole batches, for whoever builds another loader of its parts (accelerate does); its own workers have one that leaves that out.
    """

    def __init__(
        self,
        source: LoaderSource,
        transform: Transform,
        augment: AugmentOptions,
        options: LoaderOptions,
    ) -> None:
        super().__init__(source, transform, _Whole(augment), options=options)
        self._augment = augment
        self._images, self._labels = (
            Memory(pinned=options.pin_memory),
            Memory(pinned=options.pin_memory),
        )
        self._slots: Slots | None = None  # of the workers that were started last

    def _get_iterator(self) -> Any:
        self._slots = Slots.of(self._augment, self.options)
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
                yield self._finished(
                    slots.read(batch) if slots is not None and isinstance(batch, Sent) else batch
                )

    def _finished(self, parts: Sequence[Any]) -> list[Any]:
        pixels, labels, means, stdevs = parts
        first = np.asarray(pixels[0])
        channels = 1 if first.ndim == 2 else first.shape[2]
        batch = self._images.take((len(pixels), channels, *first.shape[:2]), self._augment.dtype)
        for picture, mean, stdev, target in zip(
            pixels, means.numpy(), stdevs.numpy(), batch.numpy(), strict=True
        ):
            normalize(
                np.asarray(picture), np.asarray(mean), np.asarray(stdev), self._augment, out=target
            )
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
        return list(
            stack(
                [
                    (normalize(pixels, mean, stdev, self._augment), label, mean, stdev)
                    for pixels, label, mean, stdev in samples
                ]
            )
        )


class _Parts:
    """Collates to pixels, labels, means and deviations, in a slot where there is one. Picklable without slots."""

    def __init__(self, slots: "Slots | None") -> None:
        self._slots = slots

    def __call__(self, samples: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> Any:
        del rng
        worker = get_worker_info()
        if worker is None:
            pixels, *others = zip(*samples, strict=True)
            return [list(pixels), *map(_stacked, others)]
        sent = self._slots.write(worker.id, samples) if self._slots is not None else None
        return list(stack(samples)) if sent is None else sent


def _stacked(values: Sequence[Any]) -> torch.Tensor:
    if isinstance(values[0], np.ndarray):
        return torch.from_numpy(np.stack(values))
    stacked: torch.Tensor = stack([(value,) for value in values])[0]
    return stacked
