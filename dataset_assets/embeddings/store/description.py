"""`embeddings.json`: what made the embeddings of a set. It depends on the encoder only."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from dataset_assets.embeddings.encoder import DTYPES, Field
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.typed_json import decode, load_object

FILE = "embeddings.json"
#: `Manifest.output_format` of such a set.
FORMAT = "embeddings"
TENSORS_SUFFIX = ".safetensors"
INDEX_SUFFIX = ".parquet"


@dataclass(frozen=True, slots=True)
class _StoredField:
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What made a set of embeddings."""

    encoder: str
    """Its name."""
    identity: dict[str, Any]
    """All that changes the values: model, weights, preprocessing."""
    fields: dict[str, _StoredField]
    """The arrays of a sample, by name."""
    caption_column: str | None = None
    """Column of the source that was encoded; None: no text was."""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(
        cls,
        name: str,
        identity: Mapping[str, Any],
        fields: Mapping[str, Field],
        caption_column: str | None,
    ) -> Self:
        """Describe an encoder."""
        stored = {key: _StoredField(each.dtype, each.shape) for key, each in fields.items()}
        return cls(
            encoder=name, identity=dict(identity), fields=stored, caption_column=caption_column
        )

    @property
    def arrays(self) -> dict[str, Field]:
        """The fields as an encoder declares them."""
        return {name: Field(each.dtype, tuple(each.shape)) for name, each in self.fields.items()}

    @property
    def fingerprint(self) -> str:
        """Digest of everything here."""
        return fingerprint_of(asdict(self), sort_keys=True)

    def to_json(self) -> bytes:
        """Serialize. Equal encoders give equal bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Parse what `to_json` wrote.

        Raises:
            ValueError: `data` describes no embeddings.
        """
        found = decode(cls, load_object(data))
        for name, field in found.fields.items():
            if field.dtype not in DTYPES:
                raise ValueError(f"fields.{name}: unknown dtype {field.dtype!r}")
        return found


def tensor_name(field: str, group: str, part: str = "") -> str:
    """Return the name of a tensor: of a field, in a group, and of a part of a ragged field."""
    name = f"{field}.{part}" if part else field
    return f"{name}@{group}" if group else name
