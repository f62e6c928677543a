"""`Plan`: the immutable assignment of input rows to shards. Standard library only."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from dataset_assets.records.shards import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class PlanPart:
    """The rows of one url list, cut into shards. One parquet file, one row group per shard."""

    name: str  # the list, without credentials
    fingerprint: str  # sha256 of the list's rows as planned
    rows: int
    first_shard: int
    shard_count: int
    files: tuple[
        str, ...
    ]  # parquet files in the plan folder; file i holds the next `shards_per_file` shards
    source_bytes: int = 0  # size of the list when it was read
    shard_fingerprints: tuple[str, ...] = ()  # sha256 of each shard's rows


@dataclass(frozen=True, slots=True)
class Plan:
    """Immutable assignment of input rows to shards. New lists add parts; nothing planned ever moves."""

    samples_per_shard: int
    shards_per_file: int
    columns: tuple[str, ...]  # input columns in output order: additional columns, caption, url
    has_caption: bool
    parts: tuple[PlanPart, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def rows(self) -> int:
        """Planned rows."""
        return sum(part.rows for part in self.parts)

    @property
    def shard_count(self) -> int:
        """Planned shards."""
        return sum(part.shard_count for part in self.parts)

    def to_json(self) -> bytes:
        """Serialize."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a plan back."""
        raw = json.loads(data)
        raw["columns"] = tuple(raw["columns"])
        raw["parts"] = tuple(
            PlanPart(
                **{
                    **part,
                    "files": tuple(part["files"]),
                    "shard_fingerprints": tuple(part["shard_fingerprints"]),
                }
            )
            for part in raw["parts"]
        )
        return cls(**raw)
