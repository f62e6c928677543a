"""One open shard: its rows, what has arrived of them, and the commit at the end.

Answers come in any order; rows are written in theirs. The shard exists once `finish` has written its record, the last of its files.
"""

import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataset_assets import registry
from dataset_assets.pipelines.download._samples import Sample
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.rows import EXTRA, RowFields, Tally
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import FetchOutcome, Request
from dataset_assets.records.shards import Row, ShardFile, ShardRecord, ShardTask
from dataset_assets.shards.commits import write_record
from dataset_assets.shards.naming import sample_key, shard_name
from dataset_assets.shards.reading import read_rows, read_values
from dataset_assets.shards.reorder import ReorderBuffer
from dataset_assets.shards.replace import replace_shard, replacement_store
from dataset_assets.shards.writer import Writer, WriterOptions
from dataset_assets.storage.store import Store


class ShardJob:
    """A shard being made from all of its rows."""

    def __init__(
        self,
        task: ShardTask,
        table: pa.Table,
        store: Store,
        options: DownloadOptions,
        fingerprint: str,
    ) -> None:
        self.task = task
        self.name = shard_name(task.shard_id, options.oom_shard_count)
        self._store, self._options, self._fingerprint = store, options, fingerprint
        self._fields = RowFields(table, options)
        self._reorder = ReorderBuffer(options.reorder_bytes, spill_folder(store))
        self._tally = Tally()
        self._started = time.time()
        self._missing: int = table.num_rows
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
        return sample_key(
            self.task.shard_id,
            index,
            self._options.samples_per_shard,
            self._options.oom_shard_count,
        )

    def _collect(self, index: int, row: Row) -> None:
        self._reorder.add(index, row)
        for ready in self._reorder.ready():
            self._write(ready)

    def _write(self, row: Row) -> None:
        self._tally.add(row)
        self._open_writer().write(row)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            self._writer = registry.load("output_format", self._options.output_format)(
                self._target, self._writer_options()
            )
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
        self._causes = {
            index: values["cause"] for index, values in rows if values["cause"] in causes
        }
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
