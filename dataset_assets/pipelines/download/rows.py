"""The columns of a shard's rows.

First come the columns of the list, then img2dataset's under its names and in its order, then those
of this package.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dataset_assets.images.header import DECODE_MESSAGE
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.causes import SUCCESS, Cause
from dataset_assets.records.fetching import FetchOutcome, Media
from dataset_assets.records.shards import Row
from dataset_assets.redaction import scrub_url

#: Columns that are added to img2dataset's.
EXTRA = ("cause", "http_status", "content_type", "final_url", "extension", "trailing_bytes")
# img2dataset has one message for everything that its decoder cannot read; ours name the reason.
_NOT_READ = (Cause.NOT_IMAGE, Cause.UNSUPPORTED_FORMAT)


@dataclass(frozen=True, slots=True)
class Sample:
    """What is stored for a row."""

    media: Media
    digest: str | None = None
    """Hash of the fetched file, in hex. None: the row failed, or hashes are off."""


class RowFields:
    """The columns of a shard: those of the list, and what is added to each row."""

    def __init__(self, table: pa.Table, options: DownloadOptions) -> None:
        verify = options.verify_hash[0] if options.verify_hash is not None else None
        self.expected_hashes = _values_or_none(table, verify)
        self.boxes = _values_or_none(table, options.bbox_col)
        kept = table.drop_columns([verify]) if verify is not None else table
        self._names: list[str] = kept.column_names
        self._rows = list(zip(*(_to_python(column) for column in kept.columns), strict=True))
        self._has_media = options.image is not None
        self._has_exif = options.image is not None and options.image.extract_exif
        self._hash = options.compute_hash
        self._is_scrubbed = options.store_url == "scrubbed"
        self._has_extra = not options.is_img2dataset
        self.has_caption = "caption" in self._names
        self._caption = self._names.index("caption") if self.has_caption else None
        self._url = self._names.index("url")
        fields = [*kept.schema, *self._added_fields()]
        if verify is not None and options.is_img2dataset:
            # img2dataset has the computed hash in the place of the one to verify.
            fields.insert(self._url, fields.pop())
        self.schema = pa.schema(fields)

    def urls(self) -> list[str]:
        """Return the URL of each row, as it is fetched."""
        return [row[self._url] for row in self._rows]

    def row(self, index: int, key: str, outcome: FetchOutcome, sample: Sample) -> Row:
        """Build a row from what was fetched and what is stored of it."""
        media = sample.media
        columns = dict(zip(self._names, self._rows[index], strict=True))
        columns["url"] = self._stored(columns["url"])
        columns["key"] = key
        columns["status"] = SUCCESS if media.cause is None else media.cause.status
        is_not_read = not self._has_extra and media.cause in _NOT_READ
        columns["error_message"] = DECODE_MESSAGE if is_not_read else media.message
        if self._has_media:
            columns["width"] = media.width
            columns["height"] = media.height
            columns["original_width"] = media.original_width
            columns["original_height"] = media.original_height
        if self._has_exif:
            columns["exif"] = media.exif
        if self._hash:
            columns[self._hash] = sample.digest
        caption = self._rows[index][self._caption] if self._caption is not None else None
        extra = _extra_columns(outcome, media) if self._has_extra else {}
        if extra:
            extra["final_url"] = self._stored(extra["final_url"])
        return Row(index, key, columns, extra, media.payload, media.extension, caption, media.cause)

    def _stored(self, url: Any) -> Any:
        return scrub_url(url) if self._is_scrubbed and isinstance(url, str) else url

    def _added_fields(self) -> Iterator[pa.Field]:
        for name in ("key", "status", "error_message"):
            yield pa.field(name, pa.string())
        if self._has_media:
            for name in ("width", "height", "original_width", "original_height"):
                yield pa.field(name, pa.int32())
        if self._has_exif:
            yield pa.field("exif", pa.string())
        if self._hash:
            yield pa.field(self._hash, pa.string())
        if self._has_extra:
            yield pa.field("cause", pa.string())
            yield pa.field("http_status", pa.int32())
            for name in ("content_type", "final_url", "extension"):
                yield pa.field(name, pa.string())
            yield pa.field("trailing_bytes", pa.int64())


def _extra_columns(outcome: FetchOutcome, media: Media) -> dict[str, Any]:
    return {
        "cause": media.cause,
        "http_status": outcome.http_status or None,
        "content_type": outcome.content_type or None,
        "final_url": outcome.url if outcome.redirects else None,
        "extension": media.extension or None,
        "trailing_bytes": media.trailing_bytes or None,
    }


def _values_or_none(table: pa.Table, column: str | None) -> list[Any] | None:
    return table.column(column).to_pylist() if column is not None else None


def _to_python(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column.

    Nanoseconds that are not whole microseconds become integers: Python has no type for them, and
    pandas, which Arrow would use, may be missing.
    """
    kind = column.type
    if not pa.types.is_temporal(kind) or getattr(kind, "unit", None) != "ns":
        return column.to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_timestamp(kind):
        coarser = pa.timestamp("us", kind.tz)
    elif pa.types.is_duration(kind):
        coarser = pa.duration("us")
    else:
        coarser = pa.time64("us")
    try:
        return column.cast(coarser).to_pylist()  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        return column.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
