"""The preprocessing that a model was trained with, read from its `preprocessor_config.json`.

It is done here and not by the library of the model, whose processors differ by what else is
installed. Sizes and kernels are those of
https://huggingface.co/docs/transformers/main_classes/image_processor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from dataset_assets.embeddings.images import RgbPixels, crop_center, decode_rgb, resize
from dataset_assets.embeddings.model_files import ModelFiles
from dataset_assets.errors import UnusableWeights

#: Numbers of Pillow's kernels.
_KERNELS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
_BICUBIC = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePreprocessing:
    """Resize, crop, and normalize: (value * scale - mean) / deviation."""

    shorter_side: int | None = None
    """px, with the ratio kept. None: see `size`."""
    size: tuple[int, int] | None = None
    """Height and width in px, whatever the ratio was."""
    crop: tuple[int, int] | None = None
    """Height and width in px of the middle that is kept."""
    interpolation: str = "bicubic"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0, 1.0)

    @classmethod
    def of(cls, files: ModelFiles) -> Self:
        """Read it from the files of a model.

        Raises:
            UnusableWeights: it is missing, or asks for a step that is not done here.
        """
        name = "preprocessor_config.json"
        config = files.json(name)
        if config is None:
            name = "processor_config.json"
            config = (files.json(name) or {}).get("image_processor")
        where = str(files.root / name)
        if not isinstance(config, Mapping):
            raise UnusableWeights(
                f"{where}: expected the preprocessing of images, got none; choose a model for "
                "images, or add the file to its folder"
            )
        return cls.parse(config, where)

    @classmethod
    def parse(cls, config: Mapping[str, Any], where: str = "preprocessing") -> Self:
        """Read it from the content of the file; what is not said is as in CLIP.

        Raises:
            UnusableWeights: it asks for a step that is not done here.
        """
        try:
            return cls._parse(config)
        except (TypeError, ValueError, KeyError, IndexError) as exc:
            raise UnusableWeights(
                f"{where}: expected shortest_edge or height and width, three numbers of mean and "
                f"std and a kernel of Pillow, got {exc}; choose another model"
            ) from exc

    @classmethod
    def _parse(cls, config: Mapping[str, Any]) -> Self:
        if config.get("do_pad") or config.get("do_flip_channel_order"):
            raise ValueError("padding or another order of channels")
        crop = _pair(config.get("crop_size", 224)) if config.get("do_center_crop") else None
        shorter, size = None, None
        if config.get("do_resize", True):
            shorter, size = _sizes(config.get("size", 224), crops=crop is not None)
        if crop is None and size is None:
            raise ValueError("neither a size nor a crop, so that images have different sizes")
        normalizes = config.get("do_normalize", True)
        rescales = config.get("do_rescale", True)
        return cls(
            shorter_side=shorter,
            size=size,
            crop=crop,
            interpolation=_KERNELS[int(config.get("resample", _BICUBIC))],
            scale=float(config.get("rescale_factor", 1 / 255)) if rescales else 1.0,
            mean=_channels(config["image_mean"]) if normalizes else (0.0, 0.0, 0.0),
            deviation=_channels(config["image_std"]) if normalizes else (1.0, 1.0, 1.0),
        )

    def identity(self) -> Mapping[str, Any]:
        """Return all that changes the values, as JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def pixels_of(self, payload: bytes | None) -> RgbPixels:
        """Decode, resize and crop one image.

        Returns:
            (height, width, 3) uint8, not normalized yet.

        Raises:
            SampleError: it is missing, or cannot be decoded.
        """
        pixels = decode_rgb(payload, least_px=self.shorter_side or max(self.size or (0,)) or None)
        height, width = self._resized(*pixels.shape[:2])
        pixels = resize(pixels, height, width, self.interpolation)
        if self.crop:
            pixels = crop_center(_padded(pixels, *self.crop), *self.crop)
        return np.ascontiguousarray(pixels)

    def batch_of(self, images: Sequence[RgbPixels], device: Any) -> Any:
        """Return the normalized images on a device: (B, 3, height, width) float32."""
        import torch

        stacked = torch.from_numpy(np.stack(images)).to(device)
        mean = torch.tensor(self.mean, device=device).view(1, 3, 1, 1)
        deviation = torch.tensor(self.deviation, device=device).view(1, 3, 1, 1)
        values = stacked.permute(0, 3, 1, 2).float().contiguous()
        return values.mul_(self.scale).sub_(mean).div_(deviation)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.size:
            return self.size
        if not self.shorter_side:
            return height, width
        least = min(height, width)
        return height * self.shorter_side // least, width * self.shorter_side // least


def _sizes(size: Any, *, crops: bool) -> tuple[int | None, tuple[int, int] | None]:
    """Return (shorter side, None) or (None, (height, width))."""
    if isinstance(size, Mapping):
        if size.get("longest_edge") is not None:
            raise ValueError("a longest_edge")
        if size.get("shortest_edge") is not None:
            return _side(size["shortest_edge"]), None
    elif crops:
        # Files of older versions give one number: a side that a crop follows is the shorter one.
        return _side(size), None
    return None, _pair(size)


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, Mapping):
        return _side(size["height"]), _side(size["width"])
    return _side(size), _side(size)


def _side(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 1 << 14:
        raise ValueError(f"a side of {value!r}")
    return value


def _channels(values: Any) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if len(found) != 3:
        raise ValueError(f"{len(found)} channels")
    return found


def _padded(pixels: RgbPixels, height: int, width: int) -> RgbPixels:
    """Add black around the middle, where an image is smaller than its crop."""
    tall = max(0, height - pixels.shape[0])
    wide = max(0, width - pixels.shape[1])
    if not tall and not wide:
        return pixels
    around = ((tall - tall // 2, tall // 2), (wide - wide // 2, wide // 2), (0, 0))
    padded: RgbPixels = np.pad(pixels, around)
    return padded
