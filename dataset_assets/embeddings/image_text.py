"""What models share that put images and texts into one space: CLIP and its relatives.

`embedding` is the vector of the image, or that of the caption where only captions are read. With
both, `text_embedding` is the caption's. Inner products of the two say how well they match.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.embeddings.encoder import Field, Medium, Prepared
from dataset_assets.embeddings.images import RgbPixels
from dataset_assets.embeddings.model_files import find_model
from dataset_assets.embeddings.model_options import ModelOptions
from dataset_assets.embeddings.preprocessing import ImagePreprocessing
from dataset_assets.embeddings.pretrained import import_models, load_pretrained
from dataset_assets.embeddings.tokens import Tokenizer, Tokens
from dataset_assets.embeddings.torch_models import choose_device, inference
from dataset_assets.embeddings.torch_outputs import computed_in, to_array, unit_length

READS = ("image", "text", "image_and_text")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTextOptions(ModelOptions):
    """What is read of a sample, and how the vectors are scaled.

    Raises:
        ConfigurationError: a value is not valid.
    """

    reads: str = "image"
    """`image`, `text`, or `image_and_text`, which needs samples that have both."""
    normalize: bool = True
    """Scale each vector to length 1, so that inner products are cosines."""

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        checks.one_of("reads", self.reads, READS)
        checks.boolean("normalize", self.normalize)


class _Data(NamedTuple):
    """One prepared sample; what the encoder does not read is None."""

    pixels: RgbPixels | None
    tokens: Tokens | None


class ImageTextEncoder:
    """Vectors of images, of captions, or of both. A subclass says which model it is."""

    name: ClassVar[str]
    model_class: ClassVar[str]
    #: Whether texts are padded to the longest that the model takes, as it was trained.
    pads_to_longest: ClassVar[bool]

    def __init__(self, options: ImageTextOptions) -> None:
        self.options = options
        self.medium = cast(Medium, options.reads)
        transformers = import_models("transformers", "transformers")
        self._device = choose_device(options.device)
        self._files = find_model(options.model, options.revision)
        self._digests = self._files.identity()
        model = load_pretrained(getattr(transformers, self.model_class), self._files.folder())
        self._model = model.to(self._device)
        self._size = _vector_size(model)
        self._images: ImagePreprocessing | None = None
        self._texts: Tokenizer | None = None
        if "image" in self.medium:
            self._images = ImagePreprocessing.of(self._files)
        if "text" in self.medium:
            longest = int(model.config.text_config.max_position_embeddings)
            self._texts = Tokenizer(self._files.folder(), longest)

    @property
    def fields(self) -> Mapping[str, Field]:
        """One vector, or two."""
        vector = Field(self.options.dtype, (self._size,))
        if self.medium == "image_and_text":
            return {"embedding": vector, "text_embedding": vector}
        return {"embedding": vector}

    @property
    def device(self) -> str:
        """Type of the device."""
        return str(self._device.type)

    def identity(self) -> Mapping[str, Any]:
        """Return the model, the preprocessing and what is stored."""
        return {
            "encoder": self.name,
            "model": self._digests,
            "reads": self.options.reads,
            "preprocessing": self._images and self._images.identity(),
            "max_tokens": self._texts and self._texts.max_tokens,
            "normalize": self.options.normalize,
            "dtype": self.options.dtype,
            "computed_in": computed_in(self._device),
        }

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Decode, resize and crop the image, and split the caption into tokens."""
        pixels = self._images.pixels_of(payload) if self._images else None
        tokens = self._texts.tokens_of(caption) if self._texts else None
        return Prepared(_Data(pixels, tokens), length=0 if tokens is None else len(tokens))

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any]]:
        """Run the model."""
        found = []
        with inference(self._device):
            if self._images:
                found.append(self._image_vectors([each.data.pixels for each in batch]))
            if self._texts:
                found.append(self._text_vectors([each.data.tokens for each in batch]))
            if self.options.normalize:
                found = [unit_length(vectors) for vectors in found]
        arrays = (to_array(vectors, self.options.dtype) for vectors in found)
        return dict(zip(self.fields, arrays, strict=True))

    def _image_vectors(self, pixels: Sequence[RgbPixels]) -> Any:
        assert self._images is not None
        images = self._images.batch_of(pixels, self._device)
        return _vectors(self._model.get_image_features(pixel_values=images))

    def _text_vectors(self, tokens: Sequence[Tokens]) -> Any:
        assert self._texts is not None
        if self.pads_to_longest:
            # These models have seen padding as part of the text: it is not masked.
            longest = self._texts.max_tokens
            ids, _ = self._texts.tensors(tokens, self._device, longest)
            return _vectors(self._model.get_text_features(input_ids=ids))
        ids, mask = self._texts.tensors(tokens, self._device)
        return _vectors(self._model.get_text_features(input_ids=ids, attention_mask=mask))


def _vectors(output: Any) -> Any:
    """Return the vectors: transformers 5 wraps them, 4 did not."""
    return getattr(output, "pooler_output", output)


def _vector_size(model: Any) -> int:
    """Return the length of the vectors: of the projection, or of the vision tower without one."""
    size = getattr(model.config, "projection_dim", None)
    return int(size or model.config.vision_config.hidden_size)
