"""`embed`: computes the embeddings of a shard set once, one shard at a time."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dataset_assets import registry
from dataset_assets.distribute import Distributor, TaskLost
from dataset_assets.embeddings.encoder import Encoder, open_encoder
from dataset_assets.embeddings.store.description import (
    FILE,
    FORMAT,
    INDEX_SUFFIX,
    TENSORS_SUFFIX,
    Description,
)
from dataset_assets.errors import (
    ForeignFiles,
    MissingColumn,
    PlanMismatch,
    ShardIncomplete,
    SourceError,
)
from dataset_assets.pipelines.embed.options import EmbedOptions
from dataset_assets.pipelines.embed.worker import EmbedJob, embed_shards, shard_fingerprint
from dataset_assets.records.shards import (
    Manifest,
    ShardFile,
    ShardProgress,
    ShardRecord,
    ShardResult,
    ShardTask,
)
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.shards.commits import (
    MANIFEST,
    RECORD_SUFFIX,
    is_own_record,
    list_records,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from dataset_assets.shards.lease import Lease
from dataset_assets.shards.reading import metadata_file
from dataset_assets.shards.sidecar import read_schema
from dataset_assets.storage.store import Store, open_store

logger = logging.getLogger(__name__)

DEFAULT_CAPTION = "caption"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """What `embed` did."""

    manifest: Manifest
    description: Description
    made: int
    """Shards that were computed."""
    kept: int
    """Shards that were there already."""

    @property
    def samples(self) -> int:
        """Samples of the source."""
        return self.manifest.rows

    @property
    def successes(self) -> int:
        """Samples with embeddings."""
        return self.manifest.successes

    @property
    def causes(self) -> dict[str, int]:
        """Samples without embeddings, by cause."""
        return self.manifest.causes


def embed(
    source: str | Store,
    output: str | Store,
    encoder: str = "perceptual",
    encoder_options: Mapping[str, Any] | None = None,
    *,
    caption_column: str | None = None,
    options: EmbedOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EmbedReport:
    """Compute the embeddings of all samples of a shard set. Idempotent.

    Each source shard becomes one shard of embeddings. A run that is interrupted is resumed by the
    next; when the encoder, its weights, its preprocessing or a source shard change, exactly the
    shards that depend on it are computed again, and nothing outdated is read meanwhile.

    Args:
        source: folder or URL of a shard set: downloaded, staged, or made by another tool of this
            package.
        output: folder or URL of the embeddings, one for each encoder.
        encoder: name of an encoder: `perceptual`, `efficientnet_lite0`, `clip`, ...
        encoder_options: fields of its option class, such as `{"device": "cpu"}`.
        caption_column: column that encoders of text read. Default: `caption`.
        options: batches and processes.
        progress: called with (samples done, samples) now and then.

    Returns:
        The set, and how many shards were computed.

    Raises:
        ConfigurationError: the encoder or an option is unknown, or its weights are not there.
        MissingDependency: a package that the encoder needs is not installed.
        ObjectMissing: the source is no shard set.
        MissingColumn: the source has no such caption column.
        PlanMismatch: the output has embeddings of another encoder, or another kind of set.
        ForeignFiles: the output has files of others under names that would be written.
        SetInUse: another run is at work in the output.
        ShardIncomplete: a shard failed; the others are committed.

    Example:
        >>> from dataset_assets import embed
        >>> report = embed("shards", "embeddings")
        >>> report.successes == report.samples, report.causes
        (True, {})
    """
    source_store = open_store(source) if isinstance(source, str) else source
    store = open_store(output) if isinstance(output, str) else output
    options = options or EmbedOptions()
    manifest = read_manifest(source_store)
    if not manifest.shards:
        raise SourceError(f"{source_store.url}: expected a set with shards, got an empty one")
    loaded = open_encoder(encoder, encoder_options)
    column = _caption_column(loaded, caption_column, source_store, manifest)
    description = Description.of(encoder, loaded.identity(), loaded.fields, column)
    job = EmbedJob(
        source_url=source_store.url,
        encoder=encoder,
        encoder_options=dict(encoder_options or {}),
        description=description,
        options=_with_processes(options, loaded, len(manifest.shards)),
    )
    store.check_writable()
    with Lease(store) as lease:
        run = _Run(job, store, manifest, lease)
        run.check_output()
        results = run.compute(loaded, progress)
        report = run.finish(results)
        lease.is_complete = True
    return report


class _Run:
    """One run, under the lease of the output."""

    def __init__(self, job: EmbedJob, store: Store, source: Manifest, lease: Lease) -> None:
        self._job = job
        self._store = store
        self._source = source
        self._lease = lease

    def check_output(self) -> None:
        """Refuse an output that belongs to something else.

        Raises:
            PlanMismatch, ForeignFiles: it does.
        """
        manifest = read_or_none(self._store.read, MANIFEST, parse_manifest)
        if manifest is not None and manifest.output_format != FORMAT:
            raise PlanMismatch(
                f"{self._store.url}: expected a folder for embeddings, got a set of "
                f"{manifest.output_format}; use another folder"
            )
        there = read_or_none(self._store.read, FILE, Description.from_json)
        if there is not None and there.encoder != self._job.encoder:
            raise PlanMismatch(
                f"{self._store.url}: expected embeddings of {self._job.encoder}, got those of "
                f"{there.encoder}; give each encoder a folder of its own"
            )
        if self._lease.found_claim:
            return
        present = {info.key for info in self._store.list("", recursive=False)}
        suffixes = (TENSORS_SUFFIX, INDEX_SUFFIX, RECORD_SUFFIX)
        foreign = [
            record.name + suffix
            for record in self._source.shards
            for suffix in suffixes
            if record.name + suffix in present and not is_own_record(self._store, record.name)
        ]
        if foreign:
            raise ForeignFiles(
                f"{self._store.url}: expected no files of others under names of embeddings, got "
                f"{', '.join(foreign[:_SHOWN])}; nothing was changed. Use another folder"
            )

    def compute(
        self, encoder: Encoder, progress: Callable[[int, int], None] | None
    ) -> list[ShardResult]:
        """Compute the shards that are missing or outdated; return a result for every shard."""
        kept, to_make = self._compared()
        results = [ShardResult(task, record, skipped=True) for task, record in kept.items()]
        if not to_make:
            return results
        self._lease.has_written = True
        self._invalidate({record.name for record in kept.values()})
        self._describe()  # so that a later run knows whose shards these are
        done = sum(record.count for record in kept.values())
        for event in self._events(encoder, to_make):
            if isinstance(event, ShardProgress):
                done += event.rows
                if progress is not None:
                    progress(done, self._source.successes)
            elif isinstance(event, TaskLost):
                results.append(ShardResult(event.task, error=event.reason))
            else:
                results.append(event)
        return results

    def finish(self, results: Sequence[ShardResult]) -> EmbedReport:
        """Write the manifest.

        Raises:
            ShardIncomplete: a shard has no result, or failed.
        """
        total = len(self._source.shards)
        failed = [result for result in results if result.error is not None]
        if failed or len(results) != total:
            reason = failed[0].error if failed else "no result"
            raise ShardIncomplete(
                f"{len(failed) or total - len(results)} of {total} shards failed, the first with: "
                f"{reason}. The others are committed; run again to resume"
            )
        self._lease.check()
        self._delete_others()
        file = self._describe()
        manifest = write_manifest(
            self._store,
            fingerprint=self._job.description.fingerprint,
            output_format=FORMAT,
            extra_files=[file],
        )
        made = sum(not result.skipped for result in results)
        return EmbedReport(manifest, self._job.description, made, total - made)

    def _describe(self) -> ShardFile:
        """Write the description unless it is there; return it as a file of the set."""
        data = self._job.description.to_json()
        if read_or_none(self._store.read, FILE, bytes) != data:
            self._store.write(FILE, data)
        return ShardFile(FILE, len(data), hashlib.sha256(data).hexdigest())

    def _compared(self) -> tuple[dict[ShardTask, ShardRecord], list[ShardTask]]:
        """Return the shards that are up to date, and the others."""
        committed = {record.name: record for record in list_records(self._store)}
        kept = {}
        to_make = []
        for source in self._source.shards:
            task = ShardTask(source.shard_id, self._store.url, self._lease.key)
            record = committed.get(source.name)
            wanted = shard_fingerprint(self._job.description, source)
            if record is not None and record.fingerprint == wanted:
                kept[task] = record
            else:
                to_make.append(task)
        return kept, to_make

    def _invalidate(self, kept: set[str]) -> None:
        """Delete the manifest if it names a shard that is outdated: readers must not mix them."""
        manifest = read_or_none(self._store.read, MANIFEST, parse_manifest)
        if manifest is not None and any(shard.name not in kept for shard in manifest.shards):
            self._store.delete(MANIFEST)

    def _events(self, encoder: Encoder, tasks: Sequence[ShardTask]) -> Iterator[Any]:
        options = self._job.options
        processes = min(options.processes_count, len(tasks))
        is_serial = processes == 1 or options.distributor == "serial"
        name = "serial" if is_serial else options.distributor
        distributor: Distributor = registry.load("distributor", name)(processes)
        work = partial(embed_shards, self._job, encoder if is_serial else None)
        return distributor.run(work, tasks)

    def _delete_others(self) -> None:
        """Delete shards that the source no longer has."""
        names = {record.name for record in self._source.shards}
        for record in list_records(self._store):
            if record.name not in names:
                self._store.delete(record.record_name)
                for file in record.files:
                    self._store.delete(file.name)


def _with_processes(options: EmbedOptions, encoder: Encoder, shards: int) -> EmbedOptions:
    """Return the options with a number of processes: on a CPU one for each core, else one."""
    if options.processes_count:
        return options
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = min(cores or 1, shards) if encoder.device == "cpu" else 1
    return replace(options, processes_count=count)


def _caption_column(
    encoder: Encoder, name: str | None, source: Store, manifest: Manifest
) -> str | None:
    """Return the column that the encoder reads; None if it reads no text.

    Raises:
        MissingColumn: the source does not have it.
    """
    if "text" not in encoder.medium:
        return None
    wanted = name or DEFAULT_CAPTION
    table = metadata_file(manifest.shards[0])
    columns = read_schema(source, table.name).names if table is not None else []
    if wanted not in columns:
        raise MissingColumn(
            f"{source.url}: expected a column {wanted!r} to encode, got {', '.join(columns)}; "
            "name it with caption_column"
        )
    return wanted
