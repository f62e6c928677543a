"""One open shard: its rows, what has arrived of them, and the commit at the end.

Answers arrive in any order; rows are written in the order of the list. The shard exists once
`finish` has written its record, the last of its files. Fetching and threads are in `worker`.
"""

import hashlib
from collections.abc import Collection
from typing import Any

import pyarrow as pa

from dataset_assets import registry
from dataset_assets.fetch.content_coding import TooLarge
from dataset_assets.fetch.media_types import extension_for
from dataset_assets.images.transform import ImageTransform
from dataset_assets.pipelines.download.bodies import TOO_LARGE, file_of
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.rows import EXTRA, RowFields, Sample
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import FetchOutcome, Media, Request
from dataset_assets.records.shards import Row, ShardFile, ShardRecord, ShardTask
from dataset_assets.shards.commits import Tally, write_record
from dataset_assets.shards.lease import check_lease
from dataset_assets.shards.naming import sample_key, shard_name
from dataset_assets.shards.reading import read_rows, read_values
from dataset_assets.shards.reorder import ReorderBudget, ReorderBuffer, spill_folder
from dataset_assets.shards.replace import replace_shard, replacement_store
from dataset_assets.shards.writer import Writer, WriterOptions
from dataset_assets.storage.store import Store


class OpenShard:
    """A shard being made from all of its rows."""

    def __init__(
        self,
        task: ShardTask,
        table: pa.Table,
        store: Store,
        options: DownloadOptions,
        fingerprint: str,
        reorder: ReorderBudget,
    ) -> None:
        self.task = task
        self.name = shard_name(task.shard_id, options.oom_shard_count)
        self._store = store
        self._options = options
        self._fingerprint = fingerprint
        self._fields = RowFields(table, options)
        self._reorder = ReorderBuffer(reorder, spill_folder(store.url))
        self._tally = Tally()
        self._missing: int = table.num_rows
        self._target = store
        # Imported before the first request, so that no answer waits for it.
        self._writer_class = registry.load("output_format", options.output_format)
        self._writer: Writer | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every row has its answer."""
        return self._missing == 0

    def requests(self) -> list[Request]:
        """Return one request for each row to fetch."""
        return [Request(url, (self, index)) for index, url in enumerate(self._fields.urls())]

    def make_sample(
        self, index: int, outcome: FetchOutcome, transform: ImageTransform | None
    ) -> Sample:
        """Turn an answer into a sample: hash, verify, transform. A failed answer keeps its cause.

        Changes nothing here, so that several threads may call it. Never raises for content.

        Args:
            index: row of the shard.
            outcome: the answer.
            transform: makes the image; None keeps files of any kind.
        """
        if outcome.body is None:
            return Sample(Media(cause=outcome.cause, message=outcome.message))
        try:
            body = file_of(outcome, outcome.body, self._options)
        except TooLarge:
            return Sample(Media(cause=Cause.TOO_LARGE, message=TOO_LARGE))
        name = self._options.compute_hash
        digest = getattr(hashlib, name)(body).hexdigest() if name is not None else None
        expected = self._fields.expected_hashes
        # A row without a hash cannot be verified: it fails.
        if expected is not None and digest != (expected[index] or "").lower():
            return Sample(Media(cause=Cause.HASH_MISMATCH, message="hash mismatch"))
        if transform is None:
            extension = extension_for(body[:512], outcome.content_type, outcome.url)
            return Sample(Media(payload=body, extension=extension), digest)
        boxes = self._fields.boxes
        media = transform.run(body, bboxes=boxes[index] if boxes is not None else None)
        return Sample(media, digest if media.cause is None else None)

    def add(self, index: int, outcome: FetchOutcome, sample: Sample) -> None:
        """Add the result of a row, and write the rows that are now in order."""
        self._missing -= 1
        self._tally.requests += outcome.requests
        self._tally.bytes_downloaded += outcome.bytes_read
        samples_per_shard = self._options.samples_per_shard
        digits = self._options.oom_shard_count
        key = sample_key(self.task.shard_id, index, samples_per_shard, digits)
        self._collect(index, self._fields.row(index, key, outcome, sample))

    def finish(self) -> ShardRecord:
        """Commit: sample file, sidecar, then the record.

        Raises:
            DiskFull, StorageError, LeaseLost: the shard stays absent.
        """
        record = self._commit_files()
        check_lease(self._store, self.task.lease)
        write_record(self._store, record)
        return record

    def discard(self) -> None:
        """Give the shard up and remove its files."""
        self._reorder.close()
        if self._writer is not None:
            self._writer.discard()

    def _commit_files(self) -> ShardRecord:
        writer = self._open_writer()
        writer.close()
        check_lease(self._store, self.task.lease)
        return self._record(writer.commit())

    def _collect(self, index: int, row: Row) -> None:
        self._reorder.add(index, row)
        for ready in self._reorder.ready():
            self._write(ready)

    def _write(self, row: Row) -> None:
        self._tally.add(row)
        self._open_writer().write(row)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            image = self._options.image
            options = WriterOptions(
                name=self.name,
                schema=self._fields.schema,
                extension=image.encode_format if image is not None else "bin",
                has_caption=self._fields.has_caption,
                with_index=not self._options.is_img2dataset,
            )
            self._writer = self._writer_class(self._target, options)
        return self._writer

    def _record(self, files: tuple[ShardFile, ...]) -> ShardRecord:
        self._reorder.close()
        return self._tally.record(self.name, self.task.shard_id, self._fingerprint, files)


class RetriedShard(OpenShard):
    """A committed shard of which the rows with some causes are fetched again.

    The old version stays until the new one replaces it.
    """

    def __init__(self, old: ShardRecord, causes: Collection[str], *shard: Any) -> None:
        """Find the rows to fetch again.

        Args:
            old: the record of the committed shard.
            causes: rows that failed for these are fetched again.
            shard: what `OpenShard` takes.
        """
        super().__init__(*shard)
        self._old = old
        rows = enumerate(read_values(self._store, old))
        self._causes = {
            index: values["cause"] for index, values in rows if values["cause"] in causes
        }
        self._position = {index: position for position, index in enumerate(self._causes)}
        self._missing = len(self._causes)
        self._is_changed = False
        self._tally.requests = old.requests
        self._tally.bytes_downloaded = old.bytes_downloaded

    def requests(self) -> list[Request]:
        """Return one request for each row to fetch again."""
        urls = self._fields.urls()
        return [Request(urls[index], (self, index)) for index in self._causes]

    def finish(self) -> ShardRecord:
        """Merge old and new rows, and replace the old version, unless nothing has changed."""
        if not self._is_changed:
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
        self._is_changed = self._is_changed or row.cause != self._causes[index]
        self._reorder.add(self._position[index], row)  # `finish` reads them back in row order
