"""One call of `stage`: resumes after the committed shards and writes the rest.

One thread reads the archives front to back, several draw label maps and decode every image, and
rows are written in archive order. The manifest is written last.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from dataset_assets.errors import (
    ArchiveCorrupt,
    EmptyList,
    ObjectMissing,
    PlanMismatch,
    ShardCorrupt,
)
from dataset_assets.pipelines.stage._ordered_map import ordered_map
from dataset_assets.pipelines.stage._rows import RowMaker, make_schema
from dataset_assets.pipelines.stage._shards import ShardOutput, ShardPlan, tar_bytes, write_shards
from dataset_assets.pipelines.stage.access import StoreAccess
from dataset_assets.pipelines.stage.objects import (
    LOCATION_FIELDS,
    MAX_GROUP,
    ObjectOutput,
    objects_bytes,
    open_objects_store,
    write_kept_files,
)
from dataset_assets.pipelines.stage.options import StageOptions
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION, Manifest, ShardRecord
from dataset_assets.records.staged import StagedDataset
from dataset_assets.shards.commits import list_records, read_manifest, write_manifest
from dataset_assets.shards.formats.webdataset import Writer
from dataset_assets.shards.lease import Lease
from dataset_assets.shards.writer import INDEX, WriterOptions, part_columns
from dataset_assets.staging.source import StagingPartition, StagingSource
from dataset_assets.staging.summary import read_staged, write_summary
from dataset_assets.storage.store import Store


@dataclass(frozen=True, slots=True)
class StageReport:
    """The result of a call of `stage`."""

    manifest: Manifest
    """Of the whole partition, shards of earlier runs included."""
    dataset: StagedDataset
    made: int
    """Shards committed by this call."""
    skipped: int
    """Shards committed before."""


class StageRun:
    """One call of `stage` on an open partition."""

    def __init__(
        self,
        source: StagingSource,
        partition: StagingPartition,
        store: Store,
        options: StageOptions,
        access: StoreAccess,
        lease: Lease,
    ) -> None:
        self._source = source
        self._partition = partition
        self._store = store
        self._options = options
        self._access = access
        self._lease = lease
        self._has_objects = options.layout == "objects"
        self._objects = open_objects_store(store, options.objects_url)
        self._fingerprint = _fingerprint(source, partition, options)

    def run(self, progress: Callable[[int, int], None] | None) -> StageReport:
        """Write what is missing and return the whole."""
        records = self._committed()
        made = 0
        manifest = self._valid_manifest(records)
        if manifest is None:
            # Complete shards need no image to be read: only the manifest is missing.
            if sum(record.count for record in records) != self._partition.count:
                made = self._write_shards(records, progress)
                records = self._committed()
            manifest = self._write_manifest(records)
        dataset = read_staged(self._store, manifest)
        if dataset is None:
            raise PlanMismatch(
                f"{self._store.url}: expected the manifest of this run, got one that another run "
                "wrote at the same time; let one run finish"
            )
        return StageReport(manifest, dataset, made, len(records) - made)

    def _committed(self) -> list[ShardRecord]:
        """Return the committed shards before the first missing one.

        Raises:
            PlanMismatch: one is of other archives or options.
        """
        records = list_records(self._store)
        for record in records:
            if record.fingerprint != self._fingerprint:
                raise PlanMismatch(
                    f"{self._store.locate(record.record_name)}: expected a shard of the same "
                    "archives and options, got one of others; stage into another folder, or "
                    "delete this one"
                )
        return [record for number, record in enumerate(records) if record.shard_id == number]

    def _write_shards(
        self, done: Sequence[ShardRecord], progress: Callable[[int, int], None] | None
    ) -> int:
        """Stage the images after the committed shards; return how many shards that were."""
        partition = self._partition
        options = self._options
        row = sum(record.count for record in done)
        maker = RowMaker(
            partition, check_images=options.check_images, with_objects=self._has_objects
        )

        def count_row() -> None:
            nonlocal row
            row += 1
            if progress is not None:
                progress(row, partition.count or 0)

        rows = ordered_map(partition.read_items(row), maker.make, threads=options.thread_count)
        with closing(rows):
            made = write_shards(rows, self._store, self._plan(), first=len(done), on_row=count_row)
        self._verify_archives()
        return made

    def _plan(self) -> ShardPlan:
        max_samples = self._options.max_shard_samples
        if self._has_objects:
            max_samples = min(max_samples, MAX_GROUP)
        return ShardPlan(
            check_alone=self._lease.check,
            open_output=partial(self._open_output, make_schema(self._partition.columns)),
            size_of=objects_bytes if self._has_objects else tar_bytes,
            fingerprint=self._fingerprint,
            max_bytes=self._options.max_shard_bytes,
            max_samples=max_samples,
        )

    def _open_output(self, schema: pa.Schema, name: str) -> ShardOutput:
        if self._has_objects:
            return ObjectOutput(self._store, name, schema, self._objects)
        parts = tuple(self._partition.parts)
        return Writer(self._store, WriterOptions(name=name, schema=schema, parts=parts))

    def _verify_archives(self) -> None:
        """Verify what was read; where it is not the published data, drop all shards made of it."""
        try:
            self._partition.verify_archives()
        except ArchiveCorrupt:
            for record in self._committed():
                self._store.delete(record.record_name)
            raise

    def _write_manifest(self, records: Sequence[ShardRecord]) -> Manifest:
        """Write the files beside the shards, then the manifest."""
        if not records:
            raise EmptyList(
                f"{self._source.kind} {self._partition.name}: expected images of this partition "
                "in the archives, got none"
            )
        kept = self._access.kept_files()
        if self._has_objects:
            write_kept_files(self._store, kept, self._objects)
        self._lease.check()
        files = write_summary(
            self._store, self._source, self._partition, records, self._location_columns()
        )
        return write_manifest(
            self._store,
            fingerprint=self._fingerprint,
            output_format="objects" if self._has_objects else "webdataset",
            extra_files=[*files, *kept],
        )

    def _location_columns(self) -> list[str]:
        """Return the columns that say where a sample is, those of its payload first."""
        if self._has_objects:
            return [field.name for field in LOCATION_FIELDS]
        parts = (name for part in self._partition.parts for name in part_columns(part))
        return [*(field.name for field in INDEX), *parts]

    def _valid_manifest(self, records: Sequence[ShardRecord]) -> Manifest | None:
        """Return the manifest if it is of this run and everything that it names exists."""
        try:
            manifest = read_manifest(self._store)
        except (ObjectMissing, ShardCorrupt):
            return None
        named = [(shard.name, shard.files) for shard in manifest.shards]
        committed = [(record.name, record.files) for record in records]
        if manifest.fingerprint != self._fingerprint or named != committed:
            return None
        extra = manifest.extra_files
        has_extra = all(self._store.size(file.name) == file.bytes for file in extra)
        return manifest if has_extra else None


def _fingerprint(source: StagingSource, partition: StagingPartition, options: StageOptions) -> str:
    """Digest everything that shapes the bytes of a staged partition.

    Where archives and shards are does not count.
    """
    return fingerprint_of(
        [
            SCHEMA_VERSION,
            source.kind,
            partition.name,
            partition.fingerprint,
            dict(partition.columns),
            list(partition.parts),
            [
                options.layout,
                options.max_shard_bytes,
                options.max_shard_samples,
                options.check_images,
            ],
        ]
    )
