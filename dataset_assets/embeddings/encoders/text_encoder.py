"""`text_encoder`: the tokens of captions as a diffusion model reads them (T5 and CLIP).

Unlike `text`, a caption stays a sequence: (tokens, size). Without padding each caption keeps its
own length, and whoever makes batches pads them. With `padding: max_length` all have one length, as
pipelines of diffusers make them, and `mask` says which tokens are padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.embeddings.encoder import Field, Medium, Prepared
from dataset_assets.embeddings.model_files import ModelFiles, find_model
from dataset_assets.embeddings.model_options import ModelOptions
from dataset_assets.embeddings.pretrained import import_models, load_pretrained
from dataset_assets.embeddings.tokens import Tokenizer
from dataset_assets.embeddings.torch_models import choose_device, inference
from dataset_assets.embeddings.torch_outputs import computed_in, to_array
from dataset_assets.errors import UnusableWeights

#: Type of a model -> its class. A CLIP model is read without its vision tower.
_CLASSES = {
    "t5": "T5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "clip": "CLIPTextModel",
    "clip_text_model": "CLIPTextModel",
}
_WITH_PROJECTION = "CLIPTextModelWithProjection"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoderOptions(ModelOptions):
    """Which model, and how captions are padded.

    Raises:
        ConfigurationError: a value is not valid.
    """

    model: str = "google-t5/t5-base"
    """A folder with a model, or the id of a repository on the Hub."""
    subfolder: str = ""
    """Folder of the model in the repository of a pipeline: `text_encoder`."""
    tokenizer_subfolder: str = ""
    """Folder of its tokenizer there: `tokenizer`."""
    max_tokens: int = 512
    """Longer captions lose their end; a model may take fewer: CLIP 77."""
    padding: str = "none"
    """`none`: each caption keeps its length. `max_length`: all get `max_tokens`."""
    attends_to_padding: bool = False
    """With `max_length`: whether tokens see the padding, as in Flux and Stable Diffusion."""
    layer: int = -1
    """Which hidden states: -1 the last with its norm, -2 those before, as SDXL reads CLIP."""

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        checks.integer("max_tokens", self.max_tokens, low=1)
        checks.one_of("padding", self.padding, ("none", "max_length"))
        checks.boolean("attends_to_padding", self.attends_to_padding)
        checks.integer("layer", self.layer, high=-1)
        for name in ("subfolder", "tokenizer_subfolder"):
            if getattr(self, name) != "":
                checks.text(name, getattr(self, name))


class Encoder:
    """Hidden states of captions, and the pooled vector of CLIP."""

    options_class: ClassVar[type] = TextEncoderOptions
    medium: Medium = "text"

    def __init__(self, options: TextEncoderOptions | None = None) -> None:
        self.options = options or TextEncoderOptions()
        transformers = import_models("transformers", "transformers")
        self._device = choose_device(self.options.device)
        self._folders = (self.options.subfolder, self.options.tokenizer_subfolder)
        self._files = find_model(
            self.options.model, self.options.revision, tuple(dict.fromkeys(self._folders))
        )
        self._digests = self._files.identity(*self._folders)
        name = _class_of(self._files, self.options.subfolder)
        self._is_clip = name.startswith("CLIP")
        model = load_pretrained(
            getattr(transformers, name), self._files.folder(self.options.subfolder)
        )
        self._model = model.to(self._device)
        longest = self.options.max_tokens
        if self._is_clip:
            longest = min(longest, int(model.config.max_position_embeddings))
        folder = self._files.folder(self.options.tokenizer_subfolder)
        self._texts = Tokenizer(folder, longest)

    @property
    def fields(self) -> Mapping[str, Field]:
        """The hidden states; the mask where there is padding; the pooled vector of CLIP."""
        config = self._model.config
        length = self._texts.max_tokens if self._pads else None
        dtype = self.options.dtype
        found = {"hidden": Field(dtype, (length, int(config.hidden_size)))}
        if self._pads:
            found["mask"] = Field("U8", (length,))
        if self._is_clip:
            projected = type(self._model).__name__ == _WITH_PROJECTION
            size = config.projection_dim if projected else config.hidden_size
            found["pooled"] = Field(dtype, (int(size),))
        return found

    @property
    def device(self) -> str:
        """Type of the device."""
        return str(self._device.type)

    def identity(self) -> Mapping[str, Any]:
        """Return the model, the padding and what is stored."""
        return {
            "encoder": "text_encoder",
            "model": self._digests,
            "max_tokens": self._texts.max_tokens,
            "padding": self.options.padding,
            "attends_to_padding": self._pads and self.options.attends_to_padding,
            "layer": self.options.layer,
            "dtype": self.options.dtype,
            "computed_in": computed_in(self._device),
        }

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Split a caption into tokens."""
        del payload
        tokens = self._texts.tokens_of(caption)
        return Prepared(tokens, length=len(tokens))

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any] | list[NDArray[Any]]]:
        """Run the model."""
        length = self._texts.max_tokens if self._pads else None
        ids, mask = self._texts.tensors([each.data for each in batch], self._device, length)
        sees = None if self._pads and self.options.attends_to_padding else mask
        with inference(self._device):
            output = self._model(input_ids=ids, attention_mask=sees, output_hidden_states=True)
        hidden = output.last_hidden_state
        if self.options.layer != -1:
            hidden = output.hidden_states[self.options.layer]
        values = to_array(hidden, self.options.dtype)
        used = mask.cpu().numpy().astype(np.uint8)
        found: dict[str, NDArray[Any] | list[NDArray[Any]]] = {}
        if self._pads:
            found = {"hidden": values, "mask": used}
        else:
            rows = zip(values, used.astype(bool), strict=True)
            found = {"hidden": [row[is_used] for row, is_used in rows]}
        if self._is_clip:
            pooled = getattr(output, "text_embeds", None)
            pooled = output.pooler_output if pooled is None else pooled
            found["pooled"] = to_array(pooled, self.options.dtype)
        return found

    @property
    def _pads(self) -> bool:
        return self.options.padding == "max_length"


def _class_of(files: ModelFiles, folder: str) -> str:
    """Return the class of the model in a folder."""
    config = files.json(f"{folder}/config.json" if folder else "config.json") or {}
    kind = config.get("model_type")
    if kind not in _CLASSES:
        raise UnusableWeights(
            f"{files.root / folder}: expected a model of type {', '.join(_CLASSES)}, got {kind!r}; "
            "choose one of them, or name its subfolder"
        )
    architectures = config.get("architectures")
    if isinstance(architectures, list) and _WITH_PROJECTION in architectures:
        return _WITH_PROJECTION
    return _CLASSES[kind]
