"""Transforms for segmentation and classification. Picklable, so that they run in any worker.

torch is imported only to call a function of the caller, so previews work without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.loaders.labels.label_maps import TrainIds
from dataset_assets.loaders.samples.sample import LoadedSample, check_color
from dataset_assets.loaders.torch.augment import augment, fit_into, normalize, warp
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

#: A function of the caller that is applied last: to a tensor (C, H, W), or to a label.
ExtraTransform = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationTransform:
    """Makes (image, labels, mean, deviation) of a sample with a label map.

    Labels are (H, W) uint8 or int64. The image is what `image_transform` returns; without one it is
    pixels (H, W) or (H, W, C) uint8, which `NormalizingLoader` normalizes.

    Raises:
        ConfigurationError: a value is invalid.
    """

    options: AugmentOptions
    train_ids: TrainIds | None
    """Mapping of label ids to train ids. None: label ids as they are."""
    part: str = "seg.png"
    """Member with the label map."""
    color: str = "bgr"
    """Order of the channels: "bgr", "rgb" or "gray"."""
    image_transform: ExtraTransform | None = None
    """Applied to the normalized image."""
    label_transform: ExtraTransform | None = None
    """Applied to the labels."""

    def __post_init__(self) -> None:
        check_color(self.color)

    def __call__(self, sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return the arrays of a sample.

        Raises:
            SampleError: it cannot be decoded, or its label map has another size than the image.
        """
        labels = sample.labels(self.part)
        if self.train_ids is not None:
            labels = self.train_ids.apply(labels)
        try:
            warped = warp(sample.image(self.color), labels, self.options, rng)
        except ValueError as exc:
            raise SampleError(Cause.DECODE_ERROR, str(exc)) from exc
        image: Any = warped.pixels
        if self.image_transform is not None:
            normalized = normalize(image, warped.mean, warped.stdev, self.options)
            image = _apply(self.image_transform, normalized)
        label = warped.label
        if label is not None and label.dtype != np.uint8:
            label = label.astype(np.int64)  # losses of torch accept no other
        return image, _apply(self.label_transform, label), warped.mean, warped.stdev


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationTransform:
    """Makes (image (C, H, W), label int64) of a sample."""

    options: AugmentOptions
    fit: tuple[int, int] | None = None
    """Width and height, px, into which images are scaled first."""
    shorter_side: int | None = None
    """Length, px, to which the shorter side is scaled first."""
    label_column: str = "label"
    """Column of the index with the label."""
    whole: ExtraTransform | None = None
    """Replaces all of this; gets a Pillow image, RGB."""
    image_transform: ExtraTransform | None = None
    """Applied to the image."""
    label_transform: ExtraTransform | None = None
    """Applied to the label."""

    def __call__(self, sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return the arrays of a sample.

        Raises:
            SampleError: it cannot be decoded, or has no label.
        """
        label = sample.columns[self.label_column]
        if label is None or label < 0:
            raise SampleError(Cause.DECODE_ERROR, "no label")
        pixels = sample.image()
        if self.whole is None:
            image = self._augmented(pixels, rng)
        else:
            image = self.whole(_pillow_image(pixels))
        return _apply(self.image_transform, image), _apply(self.label_transform, int(label))

    def _augmented(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[Any]:
        if self.fit is not None:
            image = fit_into(image, *self.fit)
        elif self.shorter_side is not None:
            factor = self.shorter_side / min(image.shape[:2])
            height, width = (round(side * factor) for side in image.shape[:2])
            image = fit_into(image, width, height)
        return augment(image, None, self.options, rng).image


def _pillow_image(pixels: NDArray[np.uint8]) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


def _apply(transform: ExtraTransform | None, value: Any) -> Any:
    if transform is None:
        return value
    if isinstance(value, np.ndarray):
        import torch

        value = torch.from_numpy(value)
    return transform(value)
