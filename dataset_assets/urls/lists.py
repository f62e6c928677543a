"""What a reader of URL lists gets and returns.

`Reader(options).read(file)` yields tables of at most `BATCH_ROWS` rows and about `BATCH_BYTES`
bytes. All have the columns `options.columns`, in which URL and caption are strings and other
columns keep their type.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import pyarrow as pa

from dataset_assets import registry
from dataset_assets.checks import one_of, text, texts
from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.store import ObjectInfo, Store

logger = logging.getLogger(__name__)

BATCH_ROWS = 65_536
BATCH_BYTES = 32 << 20
AUTO = "auto"
#: Suffixes after that of the format, in file names and in `input_format`.
COMPRESSIONS = ("gz", "zst", "zstd", "bz2", "xz")
QUOTED = "minimal"
UNQUOTED = "none"
#: Formats in which values may be quoted.
_DELIMITED = ("csv", "tsv")
#: Columns of the output that lists cannot have (those of img2dataset).
RESERVED = frozenset(
    {
        "key",
        "caption",
        "url",
        "width",
        "height",
        "original_width",
        "original_height",
        "status",
        "error_message",
        "exif",
        "md5",
        "sha256",
        "sha512",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """How to read URL lists. Names and meanings are those of img2dataset.

    Raises:
        UnknownName: there is no such format.
        ConfigurationError: a value is not valid.
    """

    input_format: str = "txt"
    """Format of the lists; with a compression ("csv.gz") to read only such files, or "auto" to
    detect it from the file name."""
    url_col: str = "url"
    """Column of the URLs."""
    caption_col: str | None = None
    """Column of the captions. None: no captions."""
    save_additional_columns: tuple[str, ...] = ()
    """Further columns to keep."""
    bbox_col: str | None = None
    """Column of boxes to blur: lists of [left, top, right, bottom] as shares of the image."""
    verify_hash_col: str | None = None
    """Column of hashes that the downloaded files must have."""
    quoting: str = QUOTED
    """Quotes in csv and tsv lists. "minimal": a value in double quotes may hold delimiters and line
    breaks, in tsv too. "none": quotes are characters like any other, and a line is a row."""

    def __post_init__(self) -> None:
        text("input_format", self.input_format)
        text("url_col", self.url_col)
        for name in ("caption_col", "bbox_col", "verify_hash_col"):
            if getattr(self, name) is not None:
                text(name, getattr(self, name))
        if self.input_format != AUTO:
            registry.check("input_format", split_format(self.input_format)[0])
        one_of("quoting", self.quoting, (QUOTED, UNQUOTED))
        if self.quoting == UNQUOTED and not self.input_format.startswith((AUTO, *_DELIMITED)):
            raise ConfigurationError(
                f"quoting: expected {QUOTED!r} with input_format {self.input_format!r}, got "
                f"{UNQUOTED!r}, which is for csv and tsv; leave it out"
            )
        texts("save_additional_columns", self.save_additional_columns)
        named = [*self.save_additional_columns, *([self.bbox_col] if self.bbox_col else [])]
        reserved = sorted(RESERVED.intersection(named))
        if reserved:
            raise ConfigurationError(
                f"save_additional_columns, bbox_col: {', '.join(reserved)} cannot be kept, as the "
                "output has columns of that name; rename them in the list or leave them out"
            )
        columns = self.save_additional_columns
        repeated = sorted({name for name in columns if columns.count(name) > 1})
        if repeated:
            raise ConfigurationError(
                f"save_additional_columns: expected each column once, got {', '.join(repeated)} "
                "more than once"
            )
        if self.verify_hash_col in ("url", "caption"):
            raise ConfigurationError(
                f"verify_hash: expected a column of hashes, got {self.verify_hash_col!r}"
            )

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """The columns that keep their names: the additional ones, boxes, and the hash to verify."""
        more = (name for name in (self.bbox_col, self.verify_hash_col) if name is not None)
        return tuple(dict.fromkeys((*self.save_additional_columns, *more)))

    @property
    def sources(self) -> dict[str, str]:
        """Output column -> column of the list, in output order."""
        named = {name: name for name in self.kept_columns}
        if self.caption_col is not None:
            named["caption"] = self.caption_col
        return {**named, "url": self.url_col}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the tables that readers return, in order."""
        return tuple(self.sources)


@dataclass(frozen=True, slots=True)
class ListFile:
    """One list in a store."""

    name: str  # its address, without credentials
    input_format: str  # the reader
    store: Store
    key: str

    def open(self) -> BinaryIO:
        """Open the file as it is stored, without decompression."""
        return self.store.open_read(self.key)

    def info(self) -> ObjectInfo | None:
        """Return size and time of modification, None if the file does not exist."""
        return self.store.info(self.key)


@dataclass(frozen=True, slots=True)
class UrlList:
    """One list, in a store or in memory."""

    name: str  # unique among the lists of a source; no credentials
    read: Callable[[], Iterator[pa.Table]]  # from the start, any number of times
    bytes: int = 0  # as stored
    modified: float = 0.0  # s since the epoch; 0: unknown


class Reader(Protocol):
    """The contract of a format."""

    def __init__(self, options: ListOptions) -> None: ...

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """Yield the rows of a list in order, in batches.

        Raises:
            MissingColumn: the list has no such column.
            UnreadableList: the list is not of this format.
        """


class Notes:
    """Irregularities of a list that do not stop the reading: counted, and logged once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._found: dict[str, tuple[int, int]] = {}  # what -> (count, first position)

    def add(self, what: str, position: int, times: int = 1) -> None:
        """Count irregularities; `position` is the row of the first, counted from 1."""
        count, first = self._found.get(what, (0, position))
        self._found[what] = count + times, first

    def log(self) -> None:
        """Log what was found."""
        for what, (times, first) in self._found.items():
            logger.warning("%s: %s: %d, the first at row %d", self.name, what, times, first)


def split_format(input_format: str) -> tuple[str, str]:
    """Split "csv.gz" into the reader and the compression ("" when none is named)."""
    name, _, compression = input_format.partition(".")
    if compression and compression not in COMPRESSIONS:
        raise ConfigurationError(
            f"input_format: expected one of {', '.join(COMPRESSIONS)} or nothing after the dot, "
            f"got {input_format!r}"
        )
    return name, compression
