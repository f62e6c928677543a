"""What travels between a published dataset and its staged shard set. Standard library only."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.typed_json import Count, decode, load_object

#: Column of sidecars and of the index: JSON of `StagedSample.label_counts`.
LABEL_COUNTS = "label_counts"
#: The part of a sample that is its label map.
LABEL_MAP = "seg.png"


@dataclass(frozen=True, slots=True)
class License:
    """The terms of use of a published dataset."""

    name: str
    url: str
    redistributable: bool  # False: it cannot be published, even to a private repository


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
    """One image of a partition as read from its archive, before it is decoded."""

    index: int  # among the images of the partition, in archive order
    path: str  # member path as published: "train2017/000000000009.jpg"
    archive: str  # name of the archive
    offset: int  # of the member in the archive
    payload: bytes
    # Further members that belong to the image, by a name that the source chooses.
    companions: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StagedSample:
    """One sample ready to be written."""

    key: str
    extension: str  # of the payload, without the dot, as its bytes say
    payload: bytes
    columns: dict[str, Any]  # under the names of the partition's `columns`
    # Further members by extension: "seg.png", "annotations.json".
    parts: Mapping[str, bytes] = field(default_factory=dict)
    # Label id -> pixels drawn, or 1 for a label of the whole image.
    label_counts: Mapping[int, int] = field(default_factory=dict)


class SampleError(Exception):
    """A row without a sample. Sources raise it; the pipeline catches it and keeps the row."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedDataset:
    """Description of a staged partition, stored as `staged.json` beside its manifest.

    Depends on the data only, not on times or locations.
    """

    source: str  # "coco"
    partition: str  # "train2017"
    license: License
    classes: tuple[ClassLabel, ...]
    parts: tuple[str, ...]  # extensions that samples may have beside the payload and its JSON
    columns: dict[str, str]  # column of the source -> Arrow type name
    rows: Count
    samples: Count
    causes: dict[str, Count]  # of rows without a sample
    pixels: dict[str, Count]  # label id -> pixels (rows, for labels of whole images)
    images: dict[str, Count]  # label id -> samples in which it occurs
    warnings: dict[str, Count]  # irregularities that were kept or skipped -> how many
    archives: dict[str, str]  # name -> digest of its content
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> bytes:
        """Serialize. Equal partitions give equal bytes."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Parse what `to_json` wrote.

        Raises:
            ValueError: `data` is not a description of a partition.
        """
        return decode(cls, load_object(data))
