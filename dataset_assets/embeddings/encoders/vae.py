"""`vae`: latents of images, for the training of diffusion models (AutoencoderKL of diffusers).

What is stored is the posterior, its mean and the logarithm of its variance, so that each epoch can
draw another sample: mean + exp(logvar / 2) * noise. Neither shift nor scale of the model is
applied; both are in the identity.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.embeddings.encoder import Field, Medium, Prepared
from dataset_assets.embeddings.images import RgbPixels, crop_center, decode_rgb, resize
from dataset_assets.embeddings.model_files import find_model
from dataset_assets.embeddings.model_options import ModelOptions
from dataset_assets.embeddings.pretrained import import_models, load_pretrained
from dataset_assets.embeddings.torch_models import choose_device, inference
from dataset_assets.embeddings.torch_outputs import computed_in, to_array
from dataset_assets.errors import ConfigurationError

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeOptions(ModelOptions):
    """Which autoencoder, and the sizes of its images.

    Raises:
        ConfigurationError: a value is not valid.
    """

    model: str = "stabilityai/sd-vae-ft-mse"
    """A folder with a model, or the id of a repository on the Hub."""
    subfolder: str = ""
    """Folder of the autoencoder in the repository of a pipeline: `vae`."""
    sizes: tuple[str, ...] = ("512x512",)
    """Height x width in px. An image gets the size whose ratio is nearest: it is resized to cover
    that size, and its middle is kept."""

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        sizes = checks.texts("sizes", self.sizes)
        object.__setattr__(self, "sizes", sizes)
        wrong = [size for size in sizes if not _SIZE.fullmatch(size)]
        if wrong or not sizes:
            got = wrong[0] if wrong else "none"
            raise ConfigurationError(f"sizes: expected sizes such as 512x768, got {got}")
        if self.subfolder != "":
            checks.text("subfolder", self.subfolder)


class Encoder:
    """Mean and logvar of the posterior of each image."""

    options_class: ClassVar[type] = VaeOptions
    medium: Medium = "image"

    def __init__(self, options: VaeOptions | None = None) -> None:
        self.options = options or VaeOptions()
        diffusers = import_models("diffusers", "diffusers")
        self._device = choose_device(self.options.device)
        folder = self.options.subfolder
        self._files = find_model(self.options.model, self.options.revision, (folder,))
        self._digests = self._files.identity(folder)
        model = load_pretrained(diffusers.AutoencoderKL, self._files.folder(folder))
        self._model = model.to(self._device)
        self._factor = 2 ** (len(model.config.block_out_channels) - 1)
        self._sizes = [_parse(size, self._factor) for size in self.options.sizes]

    @property
    def fields(self) -> Mapping[str, Field]:
        """Both are (channels, height / factor, width / factor)."""
        channels = int(self._model.config.latent_channels)
        same = {_latent(size, self._factor) for size in self._sizes}
        height, width = same.pop() if len(same) == 1 else (None, None)
        posterior = Field(self.options.dtype, (channels, height, width))
        return {"mean": posterior, "logvar": posterior}

    @property
    def device(self) -> str:
        """Type of the device."""
        return str(self._device.type)

    def identity(self) -> Mapping[str, Any]:
        """Return the model, the sizes and what is stored."""
        config = self._model.config
        return {
            "encoder": "vae",
            "model": self._digests,
            "preprocessing": {
                "sizes": [list(size) for size in self._sizes],
                "interpolation": "bicubic",
                "range": [-1, 1],
            },
            "scaling_factor": getattr(config, "scaling_factor", None),
            "shift_factor": getattr(config, "shift_factor", None),
            "dtype": self.options.dtype,
            "computed_in": computed_in(self._device),
        }

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Decode an image, and resize and crop it to the size of its bucket."""
        del caption
        # Decoded smaller only where the size is the same for all: others depend on the ratio.
        least = max(self._sizes[0]) if len(self._sizes) == 1 else None
        pixels = decode_rgb(payload, least_px=least)
        height, width = _nearest(self._sizes, pixels)
        return Prepared(_cover(pixels, height, width), group=f"{height}x{width}")

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any]]:
        """Run the encoder half of the model."""
        import torch

        pixels = torch.from_numpy(np.stack([each.data for each in batch])).to(self._device)
        with inference(self._device):
            images = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
            images = images.contiguous(memory_format=torch.channels_last)
            found = self._model.encode(images).latent_dist
        arrays = {"mean": found.mean, "logvar": found.logvar}
        return {name: to_array(values, self.options.dtype) for name, values in arrays.items()}


def _parse(size: str, factor: int) -> tuple[int, int]:
    """Return (height, width) of a size that the model can take."""
    height, width = map(int, size.split("x"))
    if height % factor or width % factor:
        raise ConfigurationError(
            f"sizes: expected multiples of {factor}, which this model needs, got {size}"
        )
    return height, width


def _latent(size: tuple[int, int], factor: int) -> tuple[int | None, int | None]:
    return size[0] // factor, size[1] // factor


def _nearest(sizes: Sequence[tuple[int, int]], pixels: RgbPixels) -> tuple[int, int]:
    """Return the size of the nearest ratio; of equal ones the first."""
    ratio = np.log(pixels.shape[1] / pixels.shape[0])
    return min(sizes, key=lambda size: abs(float(np.log(size[1] / size[0]) - ratio)))


def _cover(pixels: RgbPixels, height: int, width: int) -> RgbPixels:
    """Resize so that a size is covered, and keep the middle."""
    tall, wide = pixels.shape[:2]
    factor = max(height / tall, width / wide)
    resized = resize(pixels, max(height, round(tall * factor)), max(width, round(wide * factor)))
    return np.ascontiguousarray(crop_center(resized, height, width))
