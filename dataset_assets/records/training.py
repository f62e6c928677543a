"""What travels from layouts of training sets to readers, buckets and encoders.

A sample says where its bytes are and what is known of them; it never holds them. Standard library
only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from dataset_assets.records.typed_json import Count, one_of

MEDIA = ("image", "video")


@dataclass(frozen=True, slots=True)
class TableCell:
    """A payload that is a value of a Parquet file."""

    column: str  # binary, or a struct with the field "bytes"
    row: Count  # of the file, from 0


@dataclass(frozen=True, slots=True)
class MediaSample:
    """One image or video for training, with its captions.

    The payload is the whole file at `url`; with `offset`, the `size` bytes from there on (a member
    of a tar); with `cell`, a value of that Parquet file.
    """

    key: str  # unique in its set: the name in the source, without suffix: "a/0001"
    medium: Annotated[str, one_of(*MEDIA)]
    url: str  # of a file in a store of `dataset_assets.storage`
    suffix: str  # of the payload, in lower case: "jpg", "mp4"
    size: Count | None = None  # of the payload, in bytes; None: known when it is read
    offset: Count | None = None
    cell: TableCell | None = None
    captions: Mapping[str, str] = field(default_factory=dict)  # column -> text, in source order
    columns: Mapping[str, object] = field(default_factory=dict)  # others, as JSON-like values
