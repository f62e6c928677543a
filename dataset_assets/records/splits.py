"""What travels between sources and splits. Standard library only."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.typed_json import Count, FileName, decode, load_object, one_of


@dataclass(frozen=True, slots=True)
class SourceSample:
    """One sample of a source, before any of its payloads is read.

    An image is one payload ("jpg"); a video of frames is one per frame, in playing order
    ("0000.pgm", "0001.pgm", ...).
    """

    key: str  # unique in the source and safe as a member name: "rec_01/cam_0"
    group: str  # samples of one group go to one split; the key if there are no groups
    bytes: int  # of all payloads
    parts: tuple[str, ...]  # extension of each payload
    columns: dict[str, Any]  # metadata, under the names of `Source.columns`
    location: Any = None  # means something to the source only


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One committed file of a split: a tar, or a parquet table."""

    name: FileName  # in the folder of the version: "archives/train-00000-of-00003.tar"
    split: str
    kind: Annotated[str, one_of("tar", "tar.gz", "parquet")]
    bytes: Count
    sha256: str
    samples: Count
    members: Count  # files in a tar; rows of a table


@dataclass(frozen=True, slots=True)
class SplitCount:
    """What one split holds."""

    samples: Count
    groups: Count
    bytes: Count  # of payloads


@dataclass(frozen=True, slots=True)
class SplitManifest:
    """One version of the splits of a dataset. Written last; nothing else is part of it."""

    version: str  # hex; of source, options and schema version: equal inputs give equal versions
    source_fingerprint: str
    # Of a sample: the frames of a video are "frames", anything else is a "file".
    media: Annotated[str, one_of("image", "frames", "file")]
    columns: dict[str, str]  # metadata column -> Arrow type name
    splits: dict[str, SplitCount]  # in the order of the ratios, empty ones too
    files: tuple[ArchiveFile, ...]  # in name order
    options: dict[str, Any]  # ratios, seed, method, ...: JSON values, shown in the card
    schema_version: int = SCHEMA_VERSION

    @property
    def samples(self) -> int:
        """Samples of all splits."""
        return sum(count.samples for count in self.splits.values())

    @property
    def archives(self) -> dict[str, list[tuple[str, int]]]:
        """Split -> name and samples of its archives; splits without archives are left out."""
        found: dict[str, list[tuple[str, int]]] = {}
        for split in self.splits:
            for file in self.files:
                if file.split == split and file.kind != "parquet":
                    found.setdefault(split, []).append((file.name, file.samples))
        return found

    def to_json(self) -> bytes:
        """Serialize. Equal versions give equal bytes."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Parse what `to_json` wrote.

        Raises:
            ValueError: `data` is not a manifest.
        """
        return decode(cls, load_object(data), required=["schema_version"])
