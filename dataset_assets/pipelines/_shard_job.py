"""One open shard: its rows, what has arrived of them, and the commit at the end.

Answers come in any order; rows are written in theirs. The shard exists once `finish` has written its record, the last of its files.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataset_assets import registry
from dataset_assets.pipelines._samples import Sample
from dataset_assets.pipelines.options import DownloadOptions
from dataset_assets.records import (
    FAILED_TO_DOWNLOAD,
    FAILED_TO_RESIZE,
    SUCCESS,
    Cause,
    FetchOutcome,
    Media,
    Request,
    Row,
    ShardFile,
    ShardRecord,
    ShardTask,
)
from dataset_assets.shards._base import Writer, WriterOptions
from dataset_assets.shards._naming import sample_key, shard_name
from dataset_assets.shards._reading import read_rows, read_values
from dataset_assets.shards._records import write_record
from dataset_assets.shards._reorder import ReorderBuffer
from dataset_assets.shards._replace import replace_shard, replacement_store
from dataset_assets.storage._base import Store

#: Distinct messages kept in a record; the causes are always complete.
MAX_MESSAGES = 1000
#: Columns that are added to img2dataset's.
EXTRA = ("cause", "http_status", "content_type", "final_url", "extension")


class ShardJob:
    """A shard being made from all of its rows."""

    def __init__(self, task: ShardTask, table: pa.Table, store: Store, options: DownloadOptions, fingerprint: str) -> None:
        self.task = task
        self.name = shard_name(task.shard_id, options.oom_shard_count)
        self._store, self._options, self._fingerprint = store, options, fingerprint
        self._fields = RowFields(table, options)
        self._reorder = ReorderBuffer(options.reorder_bytes, spill_folder(store))
        self._tally = Tally()
        self._started = time.time()
        self._missing = table.num_rows
        self._target = store
        self._writer: Writer | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every row has its answer."""
        return self._missing == 0

    def requests(self) -> Iterator[Request]:
        """Yield one request per row to fetch."""
        for index, url in enumerate(self._fields.urls):
            yield Request(url, (self, index))

    def expected_hash(self, index: int) -> str | None:
        """Return the hash that the list promises for a row."""
        return self._fields.expected_hash(index)

    def bboxes(self, index: int) -> Any:
        """Return the boxes to blur in a row's image."""
        return self._fields.bboxes(index)

    def add(self, index: int, outcome: FetchOutcome, sample: Sample) -> None:
        """Take what became of a row, and write what is now in order."""
        self._missing -= 1
        self._tally.requests += outcome.requests
        self._tally.bytes_downloaded += outcome.bytes_read
        self._collect(index, self._fields.row(index, self._key(index), outcome, sample))

    def finish(self) -> ShardRecord:
        """Commit: sample file, sidecar, then the record.

        Raises:
            DiskFull, StorageError: the shard stays absent.
        """
        record = self._commit_files()
        write_record(self._store, record)
        return record

    def discard(self) -> None:
        """Forget the shard; nothing of it stays behind."""
        self._reorder.close()
        if self._writer is not None:
            self._writer.discard()

    def _commit_files(self) -> ShardRecord:
        writer = self._open_writer()
        writer.close()
        return self._record(writer.commit())

    def _key(self, index: int) -> str:
        return sample_key(self.task.shard_id, index, self._options.samples_per_shard, self._options.oom_shard_count)

    def _collect(self, index: int, row: Row) -> None:
        self._reorder.add(index, row)
        for ready in self._reorder.ready():
            self._write(ready)

    def _write(self, row: Row) -> None:
        self._tally.add(row)
        self._open_writer().write(row)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            self._writer = registry.load("dataset_assets.shards", self._options.output_format)(self._target, self._writer_options())
        return self._writer

    def _writer_options(self) -> WriterOptions:
        image = self._options.image
        return WriterOptions(
            name=self.name,
            schema=self._fields.schema,
            extension=image.encode_format if image is not None else "bin",
            has_caption=self._fields.has_caption,
            with_index=self._options.layout != "img2dataset",
        )

    def _record(self, files: tuple[ShardFile, ...]) -> ShardRecord:
        self._reorder.close()
        now = time.time()
        return ShardRecord(
            duration=now - self._started,
            start_time=self._started,
            end_time=now,
            name=self.name,
            shard_id=self.task.shard_id,
            fingerprint=self._fingerprint,
            files=files,
            bytes_stored=sum(file.bytes for file in files),
            **self._tally.counts(),
        )


class RetryJob(ShardJob):
    """A committed shard of which the rows with some causes are fetched again. The old version stays until the new one replaces it."""

    def __init__(self, old: ShardRecord, causes: Collection[str], *shard: Any) -> None:
        """`shard` is what `ShardJob` takes."""
        super().__init__(*shard)
        self._old = old
        rows = enumerate(read_values(self._store, old))
        self._causes = {index: values["cause"] for index, values in rows if values["cause"] in causes}
        self._position = {index: position for position, index in enumerate(self._causes)}
        self._missing = len(self._causes)
        self._changed = False
        self._tally.requests, self._tally.bytes_downloaded = old.requests, old.bytes_downloaded

    def requests(self) -> Iterator[Request]:
        """Yield one request per row to fetch again."""
        urls = list(self._fields.urls)
        for index in self._causes:
            yield Request(urls[index], (self, index))

    def finish(self) -> ShardRecord:
        """Merge old and new rows, and put the new version in place of the old one. Without any change the old version stays."""
        if not self._changed:
            self.discard()
            return self._old
        self._target = replacement_store(self._store, self.name)
        fetched = self._reorder.ready()
        for row in read_rows(self._store, self._old, extra=EXTRA):
            if row.index in self._position:
                self._write(next(fetched))
            else:
                row.cause = Cause(row.extra["cause"]) if row.extra["cause"] else None
                self._write(row)
        record = self._commit_files()
        replace_shard(self._store, record)
        return record

    def _collect(self, index: int, row: Row) -> None:
        self._changed = self._changed or row.cause != self._causes[index]
        self._reorder.add(self._position[index], row)  # read back in `finish`, in row order


def spill_folder(store: Store) -> str | None:
    """Return where rows wait that do not fit in memory: beside a local output, which has to have that space anyway."""
    return store.url if Path(store.url).is_dir() else None


class RowFields:
    """The columns of a shard: what the list brought, and what is added to each row."""

    def __init__(self, table: pa.Table, options: DownloadOptions) -> None:
        verify = options.verify_hash[0] if options.verify_hash is not None else None
        self._hashes = table.column(verify).to_pylist() if verify is not None else None
        self._boxes = table.column(options.bbox_col).to_pylist() if options.bbox_col is not None else None
        kept = table.drop_columns([verify]) if verify is not None else table
        self._names: list[str] = kept.column_names
        self._rows = list(zip(*(column.to_pylist() for column in kept.columns), strict=True))
        self._media = options.image is not None
        self._exif = options.image is not None and options.image.extract_exif
        self._hash = options.compute_hash
        self._extra = options.layout != "img2dataset"
        self._url = self._names.index("url")
        self._caption = self._names.index("caption") if "caption" in self._names else None
        self.schema = pa.schema([*kept.schema, *self._added_fields()])

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
        return self._hashes[index] if self._hashes is not None else None

    def bboxes(self, index: int) -> Any:
        """See `ShardJob.bboxes`."""
        return self._boxes[index] if self._boxes is not None else None

    def row(self, index: int, key: str, outcome: FetchOutcome, sample: Sample) -> Row:
        """Build the row: img2dataset's columns in its order, then ours."""
        media = sample.media
        columns = dict(zip(self._names, self._rows[index], strict=True))
        columns["key"] = key
        columns["status"] = SUCCESS if media.cause is None else media.cause.status
        columns["error_message"] = media.message
        if self._media:
            columns["width"], columns["height"] = media.width, media.height
            columns["original_width"], columns["original_height"] = media.original_width, media.original_height
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
