"""`open_clip`: vectors of images and captions with the models of OpenCLIP.

A model is a folder, or a repository on the Hub, with `open_clip_config.json`, as
https://github.com/mlfoundations/open_clip saves it. That package needs a torchvision that fits
torch, and neither is an extra of this package. Models that transformers can load are better read
with `clip` or `siglip`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar, cast

from numpy.typing import NDArray

from dataset_assets.embeddings.encoder import Field, Medium, Prepared
from dataset_assets.embeddings.image_text import ImageTextOptions
from dataset_assets.embeddings.model_files import ModelFiles, find_model
from dataset_assets.embeddings.preprocessing import ImagePreprocessing
from dataset_assets.embeddings.pretrained import check_torchvision, check_weights, readable
from dataset_assets.embeddings.torch_models import choose_device, import_torch, inference
from dataset_assets.embeddings.torch_outputs import computed_in, to_array, unit_length
from dataset_assets.errors import MissingDependency, UnusableWeights
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

_CONFIG = "open_clip_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClipOptions(ImageTextOptions):
    """Which OpenCLIP model."""

    model: str = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    """A folder with a model, or the id of a repository on the Hub."""


class Encoder:
    """Vectors of images, of captions, or of both, named as those of `clip`."""

    options_class: ClassVar[type] = OpenClipOptions

    def __init__(self, options: OpenClipOptions | None = None) -> None:
        self.options = options or OpenClipOptions()
        self.medium = cast(Medium, self.options.reads)
        package = _import_open_clip()
        self._device = choose_device(self.options.device)
        self._files = find_model(self.options.model, self.options.revision)
        self._digests = self._files.identity()
        config = _config_of(self._files)
        self._size = int(config["model_cfg"]["embed_dim"])
        self._images = _preprocessing_of(config["model_cfg"], config.get("preprocess_cfg") or {})
        name = f"local-dir:{self._files.root}"
        check_weights(self._files.root)
        with readable(self._files.root):
            model = package.create_model(name, require_pretrained=True, weights_only=True)
            self._tokenize = package.get_tokenizer(name)
        self._model = model.eval().to(self._device)
        self._lock = Lock()

    @property
    def fields(self) -> Mapping[str, Field]:
        """One vector, or two."""
        vector = Field(self.options.dtype, (self._size,))
        names = ("embedding", "text_embedding") if self._reads_both else ("embedding",)
        return dict.fromkeys(names, vector)

    @property
    def device(self) -> str:
        """Type of the device."""
        return str(self._device.type)

    def identity(self) -> Mapping[str, Any]:
        """Return the model, the preprocessing and what is stored."""
        return {
            "encoder": "open_clip",
            "model": self._digests,
            "reads": self.options.reads,
            "preprocessing": self._images.identity(),
            "normalize": self.options.normalize,
            "dtype": self.options.dtype,
            "computed_in": computed_in(self._device),
        }

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Decode, resize and crop the image, and split the caption into tokens."""
        pixels = self._images.pixels_of(payload) if "image" in self.medium else None
        tokens = None
        if "text" in self.medium:
            if caption is None:
                raise SampleError(Cause.NO_CAPTION, "expected a caption, got a sample without one")
            with self._lock:
                tokens = self._tokenize([caption])[0]
        return Prepared((pixels, tokens))

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any]]:
        """Run the model."""
        import torch

        found = []
        with inference(self._device):
            if "image" in self.medium:
                images = self._images.batch_of([each.data[0] for each in batch], self._device)
                found.append(self._model.encode_image(images))
            if "text" in self.medium:
                tokens = torch.stack([each.data[1] for each in batch]).to(self._device)
                found.append(self._model.encode_text(tokens))
            if self.options.normalize:
                found = [unit_length(vectors) for vectors in found]
        arrays = (to_array(vectors, self.options.dtype) for vectors in found)
        return dict(zip(self.fields, arrays, strict=True))

    @property
    def _reads_both(self) -> bool:
        return self.medium == "image_and_text"


def _import_open_clip() -> Any:
    import_torch("transformers")
    check_torchvision()
    try:
        import open_clip
    except ImportError as exc:
        raise MissingDependency(
            f"open_clip needs its package and a torchvision that fits torch ({exc}): "
            "pip install open_clip_torch torchvision; or use clip or siglip"
        ) from exc
    return open_clip


def _config_of(files: ModelFiles) -> Mapping[str, Any]:
    config = files.json(_CONFIG) or {}
    model = config.get("model_cfg")
    if not isinstance(model, Mapping) or "embed_dim" not in model:
        raise UnusableWeights(
            f"{files.root}: expected {_CONFIG} with a model_cfg, got none; choose a model of "
            "OpenCLIP, or the encoder clip for one of transformers"
        )
    return config


def _preprocessing_of(model: Mapping[str, Any], config: Mapping[str, Any]) -> ImagePreprocessing:
    """Return the preprocessing that `open_clip.transform` describes, in the terms of ours."""
    size = config.get("size") or (model.get("vision_cfg") or {}).get("image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    squashes = config.get("resize_mode") == "squash"
    sides: dict[str, Any] = {"height": height, "width": width}
    return ImagePreprocessing.parse(
        {
            "size": sides if squashes else {"shortest_edge": min(height, width)},
            "do_center_crop": not squashes,
            "crop_size": sides,
            "resample": 2 if config.get("interpolation") == "bilinear" else 3,
            "image_mean": config.get("mean", (0.48145466, 0.4578275, 0.40821073)),
            "image_std": config.get("std", (0.26862954, 0.26130258, 0.27577711)),
        }
    )
