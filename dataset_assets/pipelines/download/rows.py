"""The columns of a shard's rows, and the counts of them.

First what the list brought, then img2dataset's columns under its names and in its order, then ours.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dataset_assets.images.header import DECODE_MESSAGE
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.causes import FAILED_TO_DOWNLOAD, FAILED_TO_RESIZE, SUCCESS, Cause
from dataset_assets.records.fetching import FetchOutcome, Media
from dataset_assets.records.shards import Row

if TYPE_CHECKING:
    from dataset_assets.pipelines.download._samples import Sample

#: Distinct messages kept in a record; the causes are always complete.
MAX_MESSAGES = 1000
#: Columns that are added to img2dataset's.
EXTRA = ("cause", "http_status", "content_type", "final_url", "extension", "trailing_bytes")
#: img2dataset knows one message for all that its decoder can not read; ours says what it is.
_NOT_READ = (Cause.NOT_IMAGE, Cause.UNSUPPORTED_FORMAT)


class RowFields:
    """The columns of a shard: what the list brought, and what is added to each row."""

    def __init__(self, table: pa.Table, options: DownloadOptions) -> None:
        verify = options.verify_hash[0] if options.verify_hash is not None else None
        self._hashes = table.column(verify).to_pylist() if verify is not None else None
        self._boxes = (
            table.column(options.bbox_col).to_pylist() if options.bbox_col is not None else None
        )
        kept = table.drop_columns([verify]) if verify is not None else table
        self._names: list[str] = kept.column_names
        self._rows = list(zip(*(_to_python(column) for column in kept.columns), strict=True))
        self._media = options.image is not None
        self._exif = options.image is not None and options.image.extract_exif
        self._hash = options.compute_hash
        self._extra = options.layout != "img2dataset"
        self._url = self._names.index("url")
        self._caption = self._names.index("caption") if "caption" in self._names else None
        fields = [*kept.schema, *self._added_fields()]
        if (
            verify is not None and not self._extra
        ):  # img2dataset's table has the hash where the one to verify was
            fields.insert(self._url, fields.pop())
        self.schema = pa.schema(fields)

    @property
    def urls(self) -> Iterator[str]:
        """The url of each row."""
        return (row[self._url] for row in self._rows)

    @property
    def has_caption(self) -> bool:
        """Whether rows have captions."""
        return self._caption is not None

    def expected_hash(self, index: int) -> str | None:
        """See `ShardJob.expected_hash`."""
        return (
            None if self._hashes is None else self._hashes[index] or ""
        )  # a row without a hash can not be verified: it fails

    def bboxes(self, index: int) -> Any:
        """See `ShardJob.bboxes`."""
        return self._boxes[index] if self._boxes is not None else None

    def row(self, index: int, key: str, outcome: FetchOutcome, sample: "Sample") -> Row:
        """Build the row: img2dataset's columns in its order, then ours."""
        media = sample.media
        columns = dict(zip(self._names, self._rows[index], strict=True))
        columns["key"] = key
        columns["status"] = SUCCESS if media.cause is None else media.cause.status
        columns["error_message"] = (
            media.message if self._extra or media.cause not in _NOT_READ else DECODE_MESSAGE
        )
        if self._media:
            columns["width"], columns["height"] = media.width, media.height
            columns["original_width"], columns["original_height"] = (
                media.original_width,
                media.original_height,
            )
        if self._exif:
            columns["exif"] = media.exif
        if self._hash:
            columns[self._hash] = sample.digest
        caption = self._rows[index][self._caption] if self._caption is not None else None
        extra = self._extra_columns(outcome, media) if self._extra else {}
        return Row(index, key, columns, extra, media.payload, media.extension, caption, media.cause)

    def _extra_columns(self, outcome: FetchOutcome, media: Media) -> dict[str, Any]:
        return {
            "cause": media.cause,
            "http_status": outcome.http_status or None,
            "content_type": outcome.content_type or None,
            "final_url": outcome.url if outcome.redirects else None,
            "extension": media.extension or None,
            "trailing_bytes": media.trailing_bytes or None,
        }

    def _added_fields(self) -> Iterator[pa.Field]:
        for name in ("key", "status", "error_message"):
            yield pa.field(name, pa.string())
        if self._media:
            for name in ("width", "height", "original_width", "original_height"):
                yield pa.field(name, pa.int32())
        if self._exif:
            yield pa.field("exif", pa.string())
        if self._hash:
            yield pa.field(self._hash, pa.string())
        if self._extra:
            yield pa.field("cause", pa.string())
            yield pa.field("http_status", pa.int32())
            for name in ("content_type", "final_url", "extension"):
                yield pa.field(name, pa.string())
            yield pa.field("trailing_bytes", pa.int64())


class Tally:
    """Counts of one shard. Input rows = successes + failures by cause, by construction."""

    def __init__(self) -> None:
        self._causes: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._messages: Counter[str] = Counter()
        self.requests = 0
        self.bytes_downloaded = 0

    def add(self, row: Row) -> None:
        """Count a row as it is written."""
        status = row.columns["status"]
        self._statuses[status] += 1
        message = SUCCESS if status == SUCCESS else row.columns["error_message"] or status
        if message in self._messages or len(self._messages) < MAX_MESSAGES:
            self._messages[message] += 1
        if row.cause is not None:
            self._causes[row.cause] += 1

    def counts(self) -> dict[str, Any]:
        """Return the counts under the names of `ShardRecord`."""
        return {
            "count": self._statuses.total(),
            "successes": self._statuses[SUCCESS],
            "failed_to_download": self._statuses[FAILED_TO_DOWNLOAD],
            "failed_to_resize": self._statuses[FAILED_TO_RESIZE],
            "status_dict": dict(self._messages.most_common()),
            "causes": {str(cause): rows for cause, rows in self._causes.most_common()},
            "requests": self.requests,
            "bytes_downloaded": self.bytes_downloaded,
        }


def _to_python(column: pa.ChunkedArray) -> list[Any]:
    """Return the values. Nanoseconds that are not whole microseconds come as whole numbers: Python has no type for them, pandas may be missing."""
    kind = column.type
    if not pa.types.is_temporal(kind) or getattr(kind, "unit", None) != "ns":
        return column.to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_timestamp(kind):
        coarser = pa.timestamp("us", kind.tz)
    else:
        coarser = pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")
    try:
        return column.cast(coarser).to_pylist()  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        return column.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
