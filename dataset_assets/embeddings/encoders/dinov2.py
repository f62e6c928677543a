"""`dinov2`: vectors of images, learned without captions, of https://arxiv.org/abs/2304.07193.

DINOv2 with and without registers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.embeddings.encoder import Field, Medium, Prepared
from dataset_assets.embeddings.model_files import find_model
from dataset_assets.embeddings.model_options import ModelOptions
from dataset_assets.embeddings.preprocessing import ImagePreprocessing
from dataset_assets.embeddings.pretrained import import_models, load_pretrained
from dataset_assets.embeddings.torch_models import choose_device, inference
from dataset_assets.embeddings.torch_outputs import computed_in, to_array, unit_length
from dataset_assets.errors import UnusableWeights

_CLASSES = {"dinov2": "Dinov2Model", "dinov2_with_registers": "Dinov2WithRegistersModel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dinov2Options(ModelOptions):
    """Which model, and which of its tokens.

    Raises:
        ConfigurationError: a value is not valid.
    """

    model: str = "facebook/dinov2-base"
    """A folder with a model, or the id of a repository on the Hub."""
    pooling: str = "class"
    """`class`: the token of the whole image; `mean`: the mean of the tokens of its patches."""
    normalize: bool = True
    """Scale each vector to length 1, so that inner products are cosines."""

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        checks.one_of("pooling", self.pooling, ("class", "mean"))
        checks.boolean("normalize", self.normalize)


class Encoder:
    """One vector for each image."""

    options_class: ClassVar[type] = Dinov2Options
    medium: Medium = "image"

    def __init__(self, options: Dinov2Options | None = None) -> None:
        self.options = options or Dinov2Options()
        transformers = import_models("transformers", "transformers")
        self._device = choose_device(self.options.device)
        self._files = find_model(self.options.model, self.options.revision)
        self._digests = self._files.identity()
        kind = (self._files.json("config.json") or {}).get("model_type")
        if kind not in _CLASSES:
            raise UnusableWeights(
                f"{self._files.root}: expected a model of type {' or '.join(_CLASSES)}, got "
                f"{kind!r}; choose one, or another encoder"
            )
        self._images = ImagePreprocessing.of(self._files)
        model = load_pretrained(getattr(transformers, _CLASSES[kind]), self._files.folder())
        self._model = model.to(self._device)
        # The first token is that of the image; registers, where there are some, follow it.
        self._patches_from = 1 + int(getattr(model.config, "num_register_tokens", 0))

    @property
    def fields(self) -> Mapping[str, Field]:
        """The vector."""
        return {"embedding": Field(self.options.dtype, (int(self._model.config.hidden_size),))}

    @property
    def device(self) -> str:
        """Type of the device."""
        return str(self._device.type)

    def identity(self) -> Mapping[str, Any]:
        """Return the model, the preprocessing and what is stored."""
        return {
            "encoder": "dinov2",
            "model": self._digests,
            "preprocessing": self._images.identity(),
            "pooling": self.options.pooling,
            "normalize": self.options.normalize,
            "dtype": self.options.dtype,
            "computed_in": computed_in(self._device),
        }

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Decode, resize and crop an image."""
        del caption
        return Prepared(self._images.pixels_of(payload))

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any]]:
        """Run the model."""
        with inference(self._device):
            images = self._images.batch_of([each.data for each in batch], self._device)
            tokens = self._model(pixel_values=images).last_hidden_state
            if self.options.pooling == "class":
                found = tokens[:, 0]
            else:
                found = tokens[:, self._patches_from :].float().mean(dim=1)
            if self.options.normalize:
                found = unit_length(found)
        return {"embedding": to_array(found, self.options.dtype)}
