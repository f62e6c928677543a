"""What travels between sources, splits and publications: frozen records without behaviour beyond their own JSON. Standard library only."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from dataset_assets.records.shards import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class SourceSample:
    """One sample of a source of archives, before any of its payloads is read.

    A picture is one payload ("jpg"), a video of frames several ("0000.pgm", "0001.pgm", ...), in playing order.
    """

    key: str  # unique in the source, path-like: "rec_01/cam_0"; safe as a member name, see `splits._base.check_sample_key`
    group: str  # samples of one group are never separated; the key itself when every sample stands alone
    bytes: int  # of all payloads
    parts: tuple[str, ...]  # extension of each payload
    columns: dict[str, Any]  # metadata, under the names of `Source.columns`
    location: Any = None  # means something to the source only


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One committed file of a split: a tar, or a parquet table."""

    name: str  # relative to the folder of the version: "archives/train-00000-of-00003.tar", "data/train-00000-of-00003.parquet"
    split: str
    kind: str  # "tar", "tar.gz" or "parquet"
    bytes: int
    sha256: str
    samples: int
    members: int  # files in a tar; rows of a table


@dataclass(frozen=True, slots=True)
class SplitCount:
    """What one split holds."""

    samples: int
    groups: int
    bytes: int  # of payloads


@dataclass(frozen=True, slots=True)
class SplitManifest:
    """One version of a dataset cut into splits: what readers open first and the only thing they trust. Written last."""

    version: str  # hex; of source, options and schema version: equal inputs give equal versions
    source_fingerprint: str
    media: str  # "image": one payload is a picture; "frames": payloads are the frames of a video; "file": any
    columns: dict[str, str]  # metadata column -> Arrow type name
    splits: dict[str, SplitCount]  # in the order of the ratios; an empty split is there with zeros
    files: tuple[ArchiveFile, ...]  # in name order
    options: dict[str, Any]  # ratios, seed, method, ...: JSON values, shown in the card
    schema_version: int = SCHEMA_VERSION

    @property
    def samples(self) -> int:
        """Samples of all splits."""
        return sum(count.samples for count in self.splits.values())

    def to_json(self) -> bytes:
        """Serialize. Equal versions give equal bytes."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a manifest.

        Raises:
            ValueError, TypeError, KeyError: it is not one.
        """
        raw = json.loads(data)
        raw["files"] = tuple(ArchiveFile(**entry) for entry in raw["files"])
        raw["splits"] = {name: SplitCount(**count) for name, count in raw["splits"].items()}
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class PublishFile:
    """One file to publish: an object of a store, or text that is made for it."""

    path: str  # in the repository
    bytes: int
    sha256: str
    store_url: str = ""  # with `key`: where its bytes are
    key: str = ""
    text: str | None = None  # instead of a store: the card, the legacy script


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What a publication left behind."""

    target: str  # "directory" or "huggingface"
    repo: str  # "org/name"
    revision: str  # commit hash, or the name of the snapshot
    version: str  # of the split
    tag: str
    url: str  # what a person opens: the commit's page, or the folder
    changed: bool  # False: everything was there already
    added: int  # files
    deleted: int
    bytes_added: int
