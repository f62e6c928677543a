"""What a reader of url lists is given and what it returns.

`Reader(options).read(file)` yields tables of at most `BATCH_ROWS` rows and about `BATCH_BYTES`, all with the same schema: `options.columns`, where url
and caption are strings and the other columns keep the type they have in the list.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import pyarrow as pa

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.store import ObjectInfo, Store

logger = logging.getLogger(__name__)

BATCH_ROWS = 65_536
BATCH_BYTES = 32 << 20
AUTO = "auto"
#: What may follow a format in a file name, and in `input_format`.
COMPRESSIONS = ("gz", "zst", "zstd", "bz2", "xz")
#: Columns that the output has anyway (img2dataset's list).
RESERVED = frozenset(
    "key caption url width height original_width original_height status error_message exif md5 sha256 sha512".split()  # noqa: SIM905 - one line
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """How to read url lists. Names and meanings are img2dataset's."""

    input_format: str = "txt"  # a reader, with a compression to take only such files ("csv.gz"), or "auto": by file name
    url_col: str = "url"
    caption_col: str | None = None
    save_additional_columns: tuple[str, ...] = ()
    bbox_col: str | None = None
    verify_hash_col: str | None = None

    def __post_init__(self) -> None:
        if self.input_format != AUTO:
            registry.check("input_format", split_format(self.input_format)[0])
        named = [*self.save_additional_columns, *([self.bbox_col] if self.bbox_col else [])]
        reserved = sorted(RESERVED.intersection(named))
        if reserved:
            raise ConfigurationError(
                f"save_additional_columns, bbox_col: {', '.join(reserved)} can not be kept because the output has columns of that name; "
                "rename them in the list, or leave them out"
            )
        repeated = sorted(
            {
                name
                for name in self.save_additional_columns
                if self.save_additional_columns.count(name) > 1
            }
        )
        if repeated:
            raise ConfigurationError(
                f"save_additional_columns: expected each column once, came {', '.join(repeated)} more than once"
            )
        if self.verify_hash_col in ("url", "caption"):
            raise ConfigurationError(
                f"verify_hash: expected a column of hashes, came {self.verify_hash_col!r}"
            )

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """The columns that keep their name: the additional ones, the boxes, the hash to verify."""
        more = (name for name in (self.bbox_col, self.verify_hash_col) if name is not None)
        return tuple(dict.fromkeys((*self.save_additional_columns, *more)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the tables that readers return, in order."""
        return (*self.kept_columns, *(("caption",) if self.caption_col is not None else ()), "url")


@dataclass(frozen=True, slots=True)
class ListFile:
    """One list in a store."""

    name: str  # its address, without credentials
    input_format: str  # the reader
    store: Store
    key: str

    def open(self) -> BinaryIO:
        """Open the file as it is stored."""
        return self.store.open_read(self.key)

    def info(self) -> ObjectInfo | None:
        """Return size and time of modification, or None when the file is gone."""
        return self.store.info(self.key)


@dataclass(frozen=True, slots=True)
class UrlList:
    """One list, wherever it lives."""

    name: str  # unique among the lists of a source; no credentials
    read: Callable[[], Iterator[pa.Table]]  # from the start, as often as wanted
    bytes: int = 0  # as stored
    modified: float = 0.0  # s since the epoch; 0: not known


class Reader(Protocol):
    """Role class of every format."""

    def __init__(self, options: ListOptions) -> None: ...

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """Yield the rows of a list in order, in batches.

        Raises:
            MissingColumn: the list has no such column.
            UnreadableList: the list is not of this format.
        """


class Notes:
    """What was odd in a list but not worth stopping for: counted, and said once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._found: dict[str, tuple[int, int]] = {}  # what -> (how often, first position)

    def add(self, what: str, position: int, times: int = 1) -> None:
        """Count something at a line or row, counted from 1."""
        seen, first = self._found.get(what, (0, position))
        self._found[what] = seen + times, first

    def log(self) -> None:
        """Say what was found."""
        for what, (times, first) in self._found.items():
            logger.warning("%s: %s: %d, the first at row %d", self.name, what, times, first)


def split_format(input_format: str) -> tuple[str, str]:
    """Split "csv.gz" into the reader and the compression ("" when none is named)."""
    name, _, compression = input_format.partition(".")
    if compression and compression not in COMPRESSIONS:
        raise ConfigurationError(
            f"input_format: expected a compression of {', '.join(COMPRESSIONS)} or none after the dot, came {input_format!r}"
        )
    return name, compression
