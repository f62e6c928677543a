"""What travels from the manifest of a training set to loaders and encoders. Standard library only.

A training set is a folder with `training_set.json`, a `TrainingSetSummary`, and the table of its
samples that the summary names. The summary is written last.
"""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.training import MEDIA
from dataset_assets.records.typed_json import Count, FileName, RawText, decode, load_object, one_of

SUMMARY = "training_set.json"


@dataclass(frozen=True, slots=True)
class SampleTable:
    """The Parquet table of the samples."""

    name: FileName
    bytes: Count
    sha256: str


@dataclass(frozen=True, slots=True)
class TrainingSetSummary:
    """Description of a training set. Depends on data and options only, not on times."""

    fingerprint: str  # hex; of source, options and schema version
    source: RawText  # where the samples are
    layout: str
    medium: Annotated[str, one_of(*MEDIA)]
    because: RawText  # what spoke for the layout
    samples: Count  # with a bucket
    skipped: dict[str, Count]  # cause -> samples in the table without a bucket
    left_out: dict[str, Count]  # what was expected -> samples of the source not in the table
    buckets: dict[str, Count]  # "49x480x768" -> samples, in the order of frames, height, width
    payload_bytes: Count  # of samples with a bucket
    embedding_bytes: dict[str, Count]  # kind of embedding -> estimate
    options: dict[str, Any]  # of `SampleOptions`, as JSON values
    table: SampleTable
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> bytes:
        """Serialize. Equal sets give equal bytes."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Parse what `to_json` wrote.

        Raises:
            ValueError: `data` is not a summary.
        """
        return decode(cls, load_object(data), required=["schema_version"])
