"""Batches that are normalised by the process that hands them out: workers pass 8-bit pixels on, a quarter of the bytes through shared memory.

What shared memory costs is its pages, which are new for every batch. The memory of this process is used again, and may have large pages.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from dataset_assets.loaders._loader_options import LoaderOptions, LoaderSource
from dataset_assets.loaders._sample import Transform
from dataset_assets.loaders.augment import AugmentOptions, normalize
from dataset_assets.loaders.torch_loader import ShardLoader, stack

_KEPT = 3  # batches whose memory is kept
_FREE = 2  # references to an array in a list: the list's, and the one for the call that counts


class FinishingLoader(ShardLoader):
    """Its transform gives (pixels (H, W[, C]) uint8, labels, mean, deviation), its batches have the normalised (B, C, H, W) in front.

    Whoever takes dataset, sampler and `collate_fn` out of it gets pixels.
    """

    def __init__(self, source: LoaderSource, transform: Transform, augment: AugmentOptions, options: LoaderOptions) -> None:
        super().__init__(source, transform, _collate, options=options)
        self._augment, self._memory = augment, _Memory(options.pin_memory)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """See `ShardLoader`."""
        with closing(super().__iter__()) as batches:  # type: ignore[type-var]
            for pixels, *others in batches:
                yield [self._normalized(pixels, *others[1:]), *others]

    def _normalized(self, pixels: Sequence[Any], means: torch.Tensor, stdevs: torch.Tensor) -> torch.Tensor:
        first = np.asarray(pixels[0])
        channels = 1 if first.ndim == 2 else first.shape[2]
        batch = self._memory.take((len(pixels), channels, *first.shape[:2]), self._augment.dtype)
        for picture, mean, stdev, target in zip(pixels, means.numpy(), stdevs.numpy(), batch.numpy(), strict=True):
            normalize(np.asarray(picture), np.asarray(mean), np.asarray(stdev), self._augment, out=target)
        return batch


def _collate(samples: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> list[Any]:
    if get_worker_info() is not None:
        return list(stack(samples))
    pixels, *others = zip(*samples, strict=True)
    return [list(pixels), *map(_stacked, others)]


def _stacked(values: Sequence[Any]) -> torch.Tensor:
    if isinstance(values[0], np.ndarray):
        return torch.from_numpy(np.stack(values))
    stacked: torch.Tensor = stack([(value,) for value in values])[0]
    return stacked


class _Memory:
    """Memory of batches, used again when nobody holds a batch in it any more: its pages are there already.

    A tensor, a view of one, and an array of one hold the array that it was made of, so the count of references tells.
    """

    def __init__(self, pinned: bool) -> None:
        self._pinned, self._arrays = pinned, list[NDArray[Any]]()

    def __getstate__(self) -> dict[str, Any]:
        return {"_pinned": self._pinned, "_arrays": []}

    def take(self, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
        """Return a batch with whatever in it."""
        if self._pinned:  # torch keeps such memory itself
            return torch.empty(shape, dtype=getattr(torch, dtype), pin_memory=True)
        self._arrays = [each for each in self._arrays if each.shape == shape]
        for index in range(len(self._arrays)):
            if sys.getrefcount(self._arrays[index]) == _FREE:
                return torch.from_numpy(self._arrays[index])
        self._arrays = [*self._arrays[1 - _KEPT :], np.empty(shape, dtype)]
        return torch.from_numpy(self._arrays[-1])
