"""`stage`: a partition of a published dataset in, a shard set out, straight from its archives and without unpacking them.

One thread reads the archives front to back, several draw label maps and decode every image to see that it can be, rows are written in archive order.
Killed at any point and started again, it goes on behind the committed shards, whose images are not read again, and ends with the bytes of a run that
nobody stopped. The manifest is written last.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from dataset_assets.errors import (
    ArchiveCorrupt,
    ConfigurationError,
    EmptyList,
    ObjectMissing,
    PlanMismatch,
    ShardCorrupt,
)
from dataset_assets.pipelines.stage._ordered_map import in_order
from dataset_assets.pipelines.stage._rows import RowMaker, schema_of
from dataset_assets.pipelines.stage._shards import Body, ShardPlan, TarBody, write_shards
from dataset_assets.pipelines.stage.access import StoreAccess
from dataset_assets.pipelines.stage.objects import (
    MAX_GROUP,
    PLACES,
    ObjectBody,
    objects_store,
    write_kept,
)
from dataset_assets.records.shards import SCHEMA_VERSION, Manifest, ShardRecord
from dataset_assets.records.staged import StagedDataset
from dataset_assets.shards.active_runs import Presence
from dataset_assets.shards.commits import list_records, read_manifest, write_manifest
from dataset_assets.shards.writer import INDEX, part_columns
from dataset_assets.staging.source import StagingPartition, StagingSource
from dataset_assets.staging.summary import is_redistributable, read_staged, write_summary
from dataset_assets.storage.store import Store

__all__ = [
    "StageOptions",
    "StageReport",
    "StoreAccess",
    "is_redistributable",
    "read_staged",
    "stage",
]

LAYOUTS = ("shards", "objects")
_AT_WORK = "_stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """What a staged partition looks like.

    Raises:
        ConfigurationError: a value can not work.
    """

    layout: str = (
        "shards"  # "objects": one object per image and label map, as torchdatasetutil has them
    )
    max_shard_bytes: int = 256 << 20  # of payloads and parts
    max_shard_samples: int = 10_000
    check_images: bool = True  # decode every image; one that can not be is a row without a sample
    workers: int | None = None  # threads; None: one for each processor
    objects_url: str | None = (
        None  # layout objects: the folder that the paths are relative to; None: two above the partition's
    )

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ConfigurationError(
                f"layout: expected one of {', '.join(LAYOUTS)}, came {self.layout!r}"
            )
        for name in ("max_shard_bytes", "max_shard_samples", "workers"):
            value = getattr(self, name)
            if value is not None and (
                not isinstance(value, int) or isinstance(value, bool) or value < 1
            ):
                raise ConfigurationError(
                    f"{name}: expected a whole number of at least 1, came {value!r}"
                )

    @property
    def thread_count(self) -> int:
        """Threads that draw and decode."""
        return self.workers or (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a call left behind."""

    manifest: Manifest  # of the whole partition, earlier runs included
    dataset: StagedDataset
    made: int  # shards committed by this call
    skipped: int  # shards that were committed before


def stage(
    source: StagingSource,
    store: Store,
    options: StageOptions | None = None,
    *,
    partition: str,
    progress: Callable[[int, int], None] | None = None,
    access: StoreAccess | None = None,
) -> StageReport:
    """Stage one partition of a published dataset. Idempotent.

    Args:
        source: see `open_staged.open_staging`.
        store: the folder of the partition, `<dataset>/staged/<partition>`.
        options: what it looks like.
        partition: one of `source.partitions`.
        progress: called with (rows written, images or 0) after each row, those of earlier runs included.
        access: what the source may reach; it carries credentials, and is closed at the end.

    Raises:
        ConfigurationError: there is no such partition, or a credential is missing.
        SourceError: an archive can not be read, or is not what was published. What is committed stays; run again to go on.
        PlanMismatch: the folder holds shards of other archives or options.
        DiskFull, StorageError: as SourceError.
    """
    options = options or StageOptions()
    if partition not in source.partitions:
        raise ConfigurationError(
            f"partition of {source.kind}: expected one of {', '.join(source.partitions)}, came {partition!r}"
        )
    store.check_writable()
    with (
        closing(access or StoreAccess(store)) as reach,
        Presence(store, _AT_WORK),
        closing(source.open(partition, reach)) as opened,
    ):
        return _Staging(source, opened, store, options, reach).run(progress)


def fingerprint_of(
    source: StagingSource, partition: StagingPartition, options: StageOptions
) -> str:
    """Digest everything that shapes the bytes of a staged partition. Where archives and shards lie does not count."""
    shape = [
        options.layout,
        options.max_shard_bytes,
        options.max_shard_samples,
        options.check_images,
    ]
    inputs = [
        SCHEMA_VERSION,
        source.kind,
        partition.name,
        partition.fingerprint,
        dict(partition.columns),
        list(partition.parts),
        shape,
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


class _Staging:
    """One call."""

    def __init__(
        self,
        source: StagingSource,
        partition: StagingPartition,
        store: Store,
        options: StageOptions,
        access: StoreAccess,
    ) -> None:
        self._source, self._partition, self._store, self._options, self._access = (
            source,
            partition,
            store,
            options,
            access,
        )
        self._fingerprint = fingerprint_of(source, partition, options)
        self._format = "webdataset" if options.layout == "shards" else options.layout

    def run(self, progress: Callable[[int, int], None] | None) -> StageReport:
        """Go on behind what is committed, to the end."""
        records, made = self._committed(), 0
        manifest = self._finished(records)
        if manifest is None:
            if not self._is_finished(records):
                made = self._make(records, progress)
                records = self._committed()
            manifest = self._finish(records)
        dataset = read_staged(self._store, manifest)
        if dataset is None:
            raise PlanMismatch(
                f"another run has written the manifest of {self._store.url}; let one finish"
            )
        return StageReport(manifest, dataset, made, len(records) - made)

    def _committed(self) -> list[ShardRecord]:
        """Return the committed shards up to the first that is missing.

        Raises:
            PlanMismatch: one is of other archives or options.
        """
        records = list_records(self._store)
        for record in records:
            if record.fingerprint != self._fingerprint:
                raise PlanMismatch(
                    f"{self._store.locate(record.record_name)} was staged from other archives, or with other options, than those given now; "
                    "stage into another folder, or delete this one"
                )
        return [record for number, record in enumerate(records) if record.shard_id == number]

    def _is_finished(self, done: Sequence[ShardRecord]) -> bool:
        """Tell whether every image has its row, without reading one."""
        return sum(record.count for record in done) == self._partition.count

    def _make(
        self, done: Sequence[ShardRecord], progress: Callable[[int, int], None] | None
    ) -> int:
        """Stage what comes behind the committed shards; return how many shards that were."""
        partition, options = self._partition, self._options
        row = sum(record.count for record in done)
        maker = RowMaker(
            partition, check_images=options.check_images, with_objects=options.layout == "objects"
        )

        def wrote() -> None:
            nonlocal row
            row += 1
            if progress is not None:
                progress(row, partition.count or 0)

        with closing(in_order(partition.items(row), maker, threads=options.thread_count)) as rows:
            made = write_shards(
                rows, self._store, self._plan(), self._open_body, first=len(done), wrote=wrote
            )
        try:
            partition.finish()
        except ArchiveCorrupt:
            for record in (
                self._committed()
            ):  # what was read is not what was published: the next run reads all of it again
                self._store.delete(record.record_name)
            raise
        return made

    def _finish(self, records: Sequence[ShardRecord]) -> Manifest:
        """Write what stands beside the shards, the manifest last."""
        if not records:
            raise EmptyList(
                f"{self._source.kind} {self._partition.name}: the archives hold no image of this partition"
            )
        kept = self._access.kept_files()
        if self._options.layout == "objects":
            write_kept(self._store, kept, objects_store(self._store, self._options.objects_url))
        files = write_summary(self._store, self._source, self._partition, records, self._places())
        return write_manifest(
            self._store,
            fingerprint=self._fingerprint,
            output_format=self._format,
            extra_files=[*files, *kept],
        )

    def _places(self) -> list[str]:
        if self._options.layout == "objects":
            return [field.name for field in PLACES]
        return [
            *(field.name for field in INDEX),
            *(name for part in self._partition.parts for name in part_columns(part)),
        ]

    def _finished(self, records: Sequence[ShardRecord]) -> Manifest | None:
        """Return the manifest, if everything is there that it names."""
        try:
            manifest = read_manifest(self._store)
        except (ObjectMissing, ShardCorrupt):
            return None
        named = [(shard.name, shard.files) for shard in manifest.shards] == [
            (record.name, record.files) for record in records
        ]
        beside = all(self._store.size(file.name) == file.bytes for file in manifest.extra_files)
        return manifest if named and beside and manifest.fingerprint == self._fingerprint else None

    def _plan(self) -> ShardPlan:
        options = self._options
        return ShardPlan(
            schema=schema_of(self._partition.columns),
            parts=tuple(self._partition.parts),
            fingerprint=self._fingerprint,
            max_bytes=options.max_shard_bytes,
            max_samples=options.max_shard_samples
            if options.layout == "shards"
            else min(options.max_shard_samples, MAX_GROUP),
        )

    def _open_body(self, store: Store, name: str, plan: ShardPlan) -> Body:
        if self._options.layout == "shards":
            return TarBody(store, name, plan)
        return ObjectBody(store, name, plan, objects_store(store, self._options.objects_url))
