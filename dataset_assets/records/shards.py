"""Rows, shards and shard sets: `ShardRecord` commits a shard, `Manifest` lists the shards of a set.

Standard library only.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from dataset_assets.records.causes import Cause
from dataset_assets.records.typed_json import Count, FileName, RawText, decode, load_object

#: Incremented when the meaning of a committed file changes; part of every fingerprint.
SCHEMA_VERSION = 1


@dataclass(slots=True)
class Row:
    """One input row and its result, on the way into a shard."""

    index: int  # position within the shard
    key: str
    # The metadata columns of img2dataset in its order (input columns, url, key, status,
    # error_message, ...): in the JSON of the sample and in the sidecar.
    columns: dict[str, Any]
    # Columns that img2dataset does not have (cause, http_status, ...): in the sidecar only.
    extra: dict[str, Any] = field(default_factory=dict)
    payload: bytes | None = None  # None: no sample
    extension: str = ""
    caption: str | None = None  # text of the caption column, if there is one
    cause: Cause | None = None  # None: the row has a sample
    # Further members of the sample by extension: "seg.png".
    parts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One committed file of a shard."""

    name: FileName  # relative to the folder of the shard set
    bytes: Count
    sha256: str | None = None  # hex; None for a folder of files


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """The commit record of a shard, stored as `NNNNN_stats.json`.

    A shard exists if and only if its record exists and agrees with its files. The first eight
    keys are those of img2dataset, with the same meaning.
    """

    count: Count  # input rows
    successes: Count
    failed_to_download: Count
    failed_to_resize: Count
    duration: float  # s
    start_time: float  # s since the epoch
    end_time: float
    status_dict: dict[RawText, Count]  # "success" and raw messages -> rows
    name: FileName  # "00000"
    shard_id: Count
    fingerprint: str  # of the shard's rows and of the options that shape its bytes
    causes: dict[str, Count] = field(default_factory=dict)  # Cause -> rows
    files: tuple[ShardFile, ...] = ()
    requests: Count = 0
    bytes_downloaded: Count = 0
    bytes_stored: Count = 0
    schema_version: int = SCHEMA_VERSION

    @property
    def record_name(self) -> str:
        """File name of the record."""
        return f"{self.name}_stats.json"

    def to_json(self) -> bytes:
        """Serialize."""
        return json.dumps(asdict(self), indent=4, ensure_ascii=False).encode(
            "utf-8", "backslashreplace"
        )

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Parse what `to_json` wrote.

        Raises:
            ValueError: `data` is truncated, or the record of another tool.
        """
        return decode(cls, load_object(data), required=["files"])


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to make."""

    shard_id: int  # of the plan
    folder: str  # URL of the store of its shard set
    lease: str = ""  # key of the lease under which it is made


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """Work done since the last report of the same worker."""

    rows: int
    successes: int
    bytes_downloaded: int
    proxy_failure: str = ""  # how the proxy failed, the first time that it did


@dataclass(frozen=True, slots=True)
class ShardResult:
    """Result of one task: a record, or an error that retries did not resolve."""

    task: ShardTask
    record: ShardRecord | None = None
    error: str | None = None
    skipped: bool = False  # the shard was committed already


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every committed shard of a set, in shard order. Readers use nothing that it does not list."""

    shards: tuple[ShardRecord, ...]
    fingerprint: str  # of options and schema version, not of rows
    output_format: str
    schema_version: int = SCHEMA_VERSION
    extra_files: tuple[ShardFile, ...] = ()  # of the whole set: an index, a description

    @property
    def rows(self) -> int:
        """Input rows."""
        return sum(shard.count for shard in self.shards)

    @property
    def successes(self) -> int:
        """Rows with a sample."""
        return sum(shard.successes for shard in self.shards)

    @property
    def causes(self) -> dict[str, int]:
        """Failed rows by cause, most frequent first."""
        return add_counts(shard.causes for shard in self.shards)

    def to_json(self) -> bytes:
        """Serialize. Equal sets give equal bytes: times are left out."""
        shards = [
            {
                "name": shard.name,
                "shard_id": shard.shard_id,
                "fingerprint": shard.fingerprint,
                "rows": shard.count,
                "successes": shard.successes,
                "causes": dict(sorted(shard.causes.items())),
                "files": [asdict(entry) for entry in shard.files],
            }
            for shard in self.shards
        ]
        head: dict[str, Any] = {
            "schema_version": self.schema_version,
            "output_format": self.output_format,
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            "successes": self.successes,
            "causes": dict(sorted(self.causes.items())),
        }
        if self.extra_files:
            head["extra_files"] = [asdict(entry) for entry in self.extra_files]
        return json.dumps({**head, "shards": shards}, indent=1).encode()


def add_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up dictionaries of counts, most frequent first."""
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
