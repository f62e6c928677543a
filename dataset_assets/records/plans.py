"""`Plan`: the immutable assignment of input rows to shards. Standard library only."""

import json
from bisect import bisect_right
from dataclasses import asdict, dataclass, replace
from typing import Self

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.typed_json import (
    Count,
    FileName,
    PositiveCount,
    decode,
    load_object,
)


@dataclass(frozen=True, slots=True)
class PlanPart:
    """The rows of one URL list, cut into shards."""

    name: str  # the list, without credentials
    fingerprint: str  # sha256 of the rows of the list as planned
    rows: Count
    first_shard: Count
    shard_count: Count
    # Parquet files in the folder of the plan, each with a row group per shard and
    # `Plan.shards_per_file` shards.
    files: tuple[FileName, ...]
    source_bytes: Count = 0  # size of the list when it was read
    shard_fingerprints: tuple[str, ...] = ()  # sha256 of the rows of each shard

    @property
    def shards(self) -> range:
        """The numbers of its shards."""
        return range(self.first_shard, self.first_shard + self.shard_count)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rows go into which shard. New lists add parts; what is planned never moves."""

    samples_per_shard: PositiveCount
    shards_per_file: PositiveCount
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

    def next_shard(self, first_shard: int = 0) -> int:
        """Return the number of the next shard to plan; `first_shard` in a plan without parts."""
        return self.parts[-1].shards.stop if self.parts else first_shard

    def with_part(self, part: PlanPart) -> Self:
        """Return a plan with one more part."""
        return replace(self, parts=(*self.parts, part))

    def part_of(self, shard_id: int) -> PlanPart:
        """Return the part that has a shard.

        Raises:
            ConfigurationError: no part has it.
        """
        after = bisect_right(self.parts, shard_id, key=lambda part: part.first_shard)
        if after and shard_id in self.parts[after - 1].shards:
            return self.parts[after - 1]
        planned = "none"
        if self.parts:
            planned = f"{self.parts[0].first_shard} to {self.parts[-1].shards[-1]}"
        raise ConfigurationError(f"shard {shard_id}: expected one of the plan ({planned})")

    def rows_of(self, shard_id: int) -> int:
        """Return how many rows a shard has.

        Raises:
            ConfigurationError: no part has the shard.
        """
        part = self.part_of(shard_id)
        rows_before = (shard_id - part.first_shard) * self.samples_per_shard
        return min(self.samples_per_shard, part.rows - rows_before)

    def to_json(self) -> bytes:
        """Serialize."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Parse what `to_json` wrote.

        Raises:
            ValueError: `data` is not a plan, or its parts do not hold their rows.
        """
        plan = decode(cls, load_object(data), required=["parts"])
        for part in plan.parts:
            plan._check(part)
        return plan

    def _check(self, part: PlanPart) -> None:
        """Check that a part has the shards and files that its rows need."""
        shards = -(-part.rows // self.samples_per_shard)
        files = -(-shards // self.shards_per_file)
        found = (part.shard_count, len(part.shard_fingerprints), len(part.files))
        if found != (shards, shards, files):
            raise ValueError(
                f"part {part.name!r}: expected {shards} shards with a fingerprint each in {files} "
                f"files for {part.rows} rows, got {found[0]}, {found[1]} and {found[2]}"
            )
