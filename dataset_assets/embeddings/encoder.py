"""The role of an encoder: one sample, or a batch of them, becomes vectors or latents.

A plug-in of `encoders/` defines a class `Encoder` with these members, and the option class that
configures it. `prepare` does the work of the CPU, one sample at a time and in threads; `encode`
runs the model on a batch. Whatever changes the values is in `identity`, which is part of the
fingerprint of what is stored.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset_assets import registry
from dataset_assets.checks import some_of
from dataset_assets.errors import ConfigurationError

ROLE = "encoder"
Medium = Literal["image", "text", "image_and_text"]

#: Name of a type in safetensors -> the numpy type of its bytes. numpy has no bfloat16: its bits.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One array that an encoder makes of a sample."""

    dtype: str
    """A key of `DTYPES`."""
    shape: tuple[int | None, ...]
    """Without the batch axis. A first axis of None has another length in each sample; others of
    None have one length in each group."""

    @property
    def is_ragged(self) -> bool:
        """Whether the first axis has another length in each sample."""
        return bool(self.shape) and self.shape[0] is None

    def bytes_of(self, length: int = 1) -> int:
        """Return the bytes of one sample, where axes of None have this length."""
        sizes = (length if size is None else size for size in self.shape)
        return DTYPES[self.dtype].itemsize * math.prod(sizes)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sample that is ready for the model."""

    data: Any
    group: str = ""
    """Only samples of one group can be in one batch, such as "480x640"."""
    length: int = 0
    """Batches are made of samples of similar length: the tokens of a text."""


class Encoder(Protocol):
    """Makes arrays of samples. `prepare` is called from threads, `encode` from one."""

    options_class: ClassVar[type]
    medium: Medium
    """What it reads of a sample."""

    def __init__(self, options: Any) -> None:
        """Load the model.

        Raises:
            MissingDependency: a package is not installed.
            ConfigurationError: the weights are not there, or are not those of such a model.
        """

    @property
    def fields(self) -> Mapping[str, Field]:
        """The arrays that it makes, by name."""

    @property
    def device(self) -> str:
        """Type of the device that it runs on: `cpu`, `cuda`."""

    def identity(self) -> Mapping[str, Any]:
        """Return, as JSON values, all that changes the arrays: model, weights, preprocessing."""

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Decode and preprocess one sample.

        Raises:
            SampleError: the sample cannot be used.
        """

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any] | list[NDArray[Any]]]:
        """Run the model on samples of one group.

        Returns:
            For each field (B, *shape); for a ragged one a list of B arrays.
        """


def options_of(name: str) -> type:
    """Return the option class of an encoder.

    Raises:
        UnknownName: there is no such encoder.
    """
    options_class: type = registry.load(ROLE, name).options_class
    return options_class


def parse_options(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Build the options of an encoder from their fields. The model is not loaded.

    Raises:
        ConfigurationError: there is no such encoder or option, or a value is not valid.
    """
    options_class = options_of(name)
    values = dict(options or {})
    known = [field.name for field in fields(options_class)]
    some_of(f"options of {name}", list(values), known)
    try:
        return options_class(**values)
    except TypeError as exc:
        raise ConfigurationError(f"options of {name}: {exc}") from exc


def open_encoder(name: str, options: Mapping[str, Any] | None = None) -> Encoder:
    """Load an encoder by name.

    Args:
        name: a file of `encoders/`, or an entry point of the group `dataset_assets.encoder`.
        options: fields of its option class.

    Raises:
        ConfigurationError: there is no such encoder or option, or its weights are not there.
        MissingDependency: a package is not installed.

    Example:
        >>> from dataset_assets.embeddings.encoder import open_encoder
        >>> open_encoder("perceptual").fields["embedding"].shape
        (216,)
    """
    encoder: Encoder = registry.load(ROLE, name)(parse_options(name, options))
    return encoder
