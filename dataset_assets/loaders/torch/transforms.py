"""Samples as stored -> arrays of a batch. Picklable, so that they run in any worker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError
from dataset_assets.images.decode import decode
from dataset_assets.images.header import read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.loaders.labels.label_maps import TrainIds
from dataset_assets.loaders.samples.sample import LoadedSample
from dataset_assets.loaders.torch.augment import AugmentOptions, augment, cut, fit_into, normalize
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

#: What callers may add behind ours: a tensor (C, H, W), or a label, to another one.
Extra = Callable[[Any], Any]
#: From what `decode` gives, which is BGR or gray.
_COLORS = {
    "bgr": (None, cv2.COLOR_GRAY2BGR),
    "rgb": (cv2.COLOR_BGR2RGB, cv2.COLOR_GRAY2RGB),
    "gray": (cv2.COLOR_BGR2GRAY, None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationTransform:
    """Gives (image (C, H, W), labels (H, W) uint8 or int64, mean, deviation); without `image_transform` the pixels in place of the image."""

    options: AugmentOptions
    train_ids: TrainIds | None  # None: label ids as they are
    part: str = "seg.png"
    color: str = "bgr"  # order of the channels, or "gray"
    image_transform: Extra | None = None
    label_transform: Extra | None = None

    def __post_init__(self) -> None:
        if self.color not in _COLORS:
            raise ConfigurationError(
                f"color: expected one of {', '.join(_COLORS)}, came {self.color!r}"
            )

    def __call__(self, sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        """Make a sample.

        Raises:
            SampleError: it can not be decoded, or its label map is of another size.
        """
        labels = sample.labels(self.part)
        if self.train_ids is not None:
            labels = self.train_ids(labels)
        try:
            made = cut(_decoded(sample, self.color), labels, self.options, rng)
        except ValueError as exc:
            raise SampleError(Cause.DECODE_ERROR, str(exc)) from exc
        image, label = made.pixels, made.label
        if self.image_transform is not None:
            image = self.image_transform(
                torch.from_numpy(normalize(image, made.mean, made.stdev, self.options))
            )
        if label is not None and label.dtype != np.uint8:
            label = label.astype(np.int64)  # losses of torch take no other
        return image, _added(label, self.label_transform), made.mean, made.stdev


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationTransform:
    """Gives (image (C, H, W), label int64)."""

    options: AugmentOptions
    fit: tuple[int, int] | None = None  # width and height, px, into which pictures are scaled first
    shorter_side: int | None = None  # px, to which it is scaled first
    label_column: str = "label"
    whole: Extra | None = None  # instead of all this: gets a Pillow image, RGB
    image_transform: Extra | None = None
    label_transform: Extra | None = None

    def __call__(self, sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        """Make a sample.

        Raises:
            SampleError: it can not be decoded, or has no label.
        """
        label = sample.columns[self.label_column]
        if label is None or label < 0:
            raise SampleError(Cause.DECODE_ERROR, "no label")
        picture = sample.image()
        image = (
            self._augmented(picture, rng) if self.whole is None else self.whole(_pillow(picture))
        )
        return _added(image, self.image_transform), _added(int(label), self.label_transform)

    def _augmented(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[Any]:
        if self.fit is not None:
            picture = fit_into(picture, *self.fit)
        elif self.shorter_side is not None:
            factor = self.shorter_side / min(picture.shape[:2])
            picture = fit_into(
                picture, round(picture.shape[1] * factor), round(picture.shape[0] * factor)
            )
        return augment(picture, None, self.options, rng).image


def _pillow(picture: NDArray[np.uint8]) -> Any:
    from PIL import Image

    return Image.fromarray(picture)


def _decoded(sample: LoadedSample, color: str) -> NDArray[np.uint8]:
    """Return the picture as `LoadedSample.image` does, in the colors that are wanted: one conversion less."""
    try:
        pixels, _ = decode(sample.payload, read_header(sample.payload))
    except RefusedImage as exc:
        raise SampleError(exc.cause, str(exc)) from exc
    code = _COLORS[color][pixels.ndim == 2]
    return pixels if code is None else cv2.cvtColor(pixels, code)


def _added(value: Any, extra: Extra | None) -> Any:
    if extra is None:
        return value
    return extra(torch.from_numpy(value) if isinstance(value, np.ndarray) else value)
