"""`text`: vectors of captions, with any encoder of sentence-transformers or transformers.

A folder with `modules.json` is a model of sentence-transformers, and its own modules pool the
tokens. Any other is a model of transformers, and `pooling` says how.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.embeddings.encoder import Field, Medium, Prepared
from dataset_assets.embeddings.model_files import ModelFiles, find_model
from dataset_assets.embeddings.model_options import ModelOptions
from dataset_assets.embeddings.sentence_models import SentenceModel, TransformerModel
from dataset_assets.embeddings.tokens import Tokenizer
from dataset_assets.embeddings.torch_models import choose_device, inference
from dataset_assets.embeddings.torch_outputs import computed_in, to_array, unit_length

_POOLING = ("mean", "first", "last")
_MODULES = "modules.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions(ModelOptions):
    """Which model, and how a caption becomes one vector.

    Raises:
        ConfigurationError: a value is not valid.
    """

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    """A folder with a model, or the id of a repository on the Hub."""
    prefix: str = ""
    """Text before each caption, where a model was trained with one, such as `query: `."""
    pooling: str = "mean"
    """`mean` of all tokens, the `first` or the `last` token: for models of transformers only."""
    max_tokens: int = 512
    """Longer captions lose their end; a model may take fewer."""
    normalize: bool = True
    """Scale each vector to length 1, so that inner products are cosines."""

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        checks.one_of("pooling", self.pooling, _POOLING)
        checks.integer("max_tokens", self.max_tokens, low=1)
        checks.boolean("normalize", self.normalize)
        if self.prefix != "":
            checks.text("prefix", self.prefix)


class Encoder:
    """One vector for each caption."""

    options_class: ClassVar[type] = TextOptions
    medium: Medium = "text"

    def __init__(self, options: TextOptions | None = None) -> None:
        self.options = options or TextOptions()
        self._files, self._model = self._open()
        self._digests = self._files.identity(*_folders(self._files.root))
        self._device = choose_device(self.options.device)
        self._model.module.to(self._device)
        longest = min(self.options.max_tokens, self._model.max_tokens)
        self._texts = Tokenizer(self._model.tokenizer_folder, longest)

    def _open(self) -> tuple[ModelFiles, SentenceModel | TransformerModel]:
        # Folders of sentence-transformers are named after the number of their module.
        folders = ("", "0_*", "1_*", "2_*", "3_*")
        files = find_model(self.options.model, self.options.revision, folders)
        if (files.root / _MODULES).is_file():
            return files, SentenceModel(files.folder())
        return files, TransformerModel(files.folder(), self.options.pooling)

    @property
    def fields(self) -> Mapping[str, Field]:
        """The vector."""
        return {"embedding": Field(self.options.dtype, (self._model.size,))}

    @property
    def device(self) -> str:
        """Type of the device."""
        return str(self._device.type)

    def identity(self) -> Mapping[str, Any]:
        """Return the model, the text around captions and what is stored."""
        return {
            "encoder": "text",
            "model": self._digests,
            "pooling": self._model.pooling,
            "prefix": self.options.prefix,
            "max_tokens": self._texts.max_tokens,
            "normalize": self.options.normalize,
            "dtype": self.options.dtype,
            "computed_in": computed_in(self._device),
        }

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Split a caption into tokens."""
        del payload
        given = None if caption is None else self.options.prefix + caption
        tokens = self._texts.tokens_of(given)
        return Prepared(tokens, length=len(tokens))

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any]]:
        """Run the model."""
        with inference(self._device):
            ids, mask = self._texts.tensors([each.data for each in batch], self._device)
            found = self._model.vectors(ids, mask)
            if self.options.normalize:
                found = unit_length(found)
        return {"embedding": to_array(found, self.options.dtype)}


def _folders(root: Path) -> list[str]:
    """Return the folder of a model and those of its modules."""
    inside = (path for path in root.iterdir() if path.is_dir() and path.name[:1].isdigit())
    return ["", *sorted(path.name for path in inside)]
