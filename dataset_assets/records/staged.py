"""What travels between a published dataset and its staged shard set: frozen records without behaviour beyond their own JSON. Standard library only."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import SCHEMA_VERSION

#: Column of sidecars and of the index: JSON of `StagedSample.label_counts`.
LABEL_COUNTS = "label_counts"


@dataclass(frozen=True, slots=True)
class License:
    """On which terms a published dataset may be used."""

    name: str
    url: str
    redistributable: (
        bool  # False: it must never be published again, not even to a private repository of others
    )


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """One entry of the category table of a published dataset."""

    id: int  # as drawn in seg.png
    name: str
    category: str = ""  # the group it belongs to: "vehicle", "flat"
    color: tuple[int, int, int] | None = None  # RGB


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """One file in a zip or tar."""

    name: str  # as stored, with "/" between folders
    bytes: int  # unpacked
    offset: int  # of its header in the archive; in the unpacked stream of a tar.gz
    crc32: int | None = None  # zip only


@dataclass(frozen=True, slots=True)
class StageItem:
    """One image of a partition as it comes from the archives, before anything is decoded or drawn."""

    index: int  # among the images of the partition, in archive order
    path: str  # member path as published: "train2017/000000000009.jpg"
    archive: str  # name of the archive
    offset: int  # of the member in the archive
    payload: bytes
    companions: Mapping[str, bytes] = field(
        default_factory=dict
    )  # further members that belong to it, by a name that the source chooses


@dataclass(frozen=True, slots=True)
class StagedSample:
    """One sample ready to be written."""

    key: str
    extension: str  # of the payload, without the dot, as the bytes are
    payload: bytes
    columns: dict[str, Any]  # under the names of the partition's `columns`
    parts: Mapping[str, bytes] = field(
        default_factory=dict
    )  # "seg.png", "annotations.json": further members
    label_counts: Mapping[int, int] = field(
        default_factory=dict
    )  # label id -> pixels drawn, or 1 for a label of the whole image


class SampleError(Exception):
    """A sample that can not be made: the row is kept without one. Raised by sources, caught by the pipeline, never seen by a caller."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause, self.message = cause, message


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedDataset:
    """What a staged partition is, stored as `staged.json` beside its manifest. Depends on the data only, never on clocks or places."""

    source: str  # "coco"
    partition: str  # "train2017"
    license: License
    classes: tuple[ClassLabel, ...]
    parts: tuple[str, ...]  # extensions that samples may have beside the payload and its JSON
    columns: dict[str, str]  # column of the source -> Arrow type name
    rows: int
    samples: int
    causes: dict[str, int]  # of rows without a sample
    pixels: dict[str, int]  # label id -> pixels (rows, for labels of whole images)
    images: dict[str, int]  # label id -> samples in which it occurs
    warnings: dict[str, int]  # what was odd and kept or passed over
    archives: dict[str, str]  # name -> digest of its content
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> bytes:
        """Serialize. Equal partitions give equal bytes."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read it back.

        Raises:
            ValueError, TypeError, KeyError: it is not one.
        """
        raw = json.loads(data)
        raw["license"] = License(**raw["license"])
        raw["classes"] = tuple(
            ClassLabel(
                **{**entry, "color": tuple(entry["color"]) if entry["color"] is not None else None}
            )
            for entry in raw["classes"]
        )
        raw["parts"] = tuple(raw["parts"])
        return cls(**raw)
