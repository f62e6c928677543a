"""What one worker does: source shards in, shards of embeddings out. The model is loaded once."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from dataset_assets.embeddings.encoder import Encoder, open_encoder
from dataset_assets.embeddings.store.description import Description
from dataset_assets.embeddings.store.writer import ShardWriter
from dataset_assets.embeddings.torch_models import one_cpu_thread
from dataset_assets.errors import DatasetAssetsError, DiskFull, PlanMismatch
from dataset_assets.pipelines.embed._batches import BatchEncoder
from dataset_assets.pipelines.embed.options import EmbedOptions
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import Row, ShardProgress, ShardRecord, ShardResult, ShardTask
from dataset_assets.shards.commits import (
    Tally,
    is_own_record,
    read_manifest,
    read_record,
    write_record,
)
from dataset_assets.shards.lease import check_lease
from dataset_assets.shards.reading import read_rows
from dataset_assets.storage.store import Store, open_store

_PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedJob:
    """What all shards of a run have in common. Picklable."""

    source_url: str
    encoder: str
    """Its name."""
    encoder_options: Mapping[str, Any]
    description: Description
    options: EmbedOptions


def shard_fingerprint(description: Description, source: ShardRecord) -> str:
    """Return the digest of what decides the bytes of a shard: the encoder and the source shard.

    Encoders that read no text do not depend on the table with the captions.
    """
    is_table_read = description.caption_column is not None
    files = source.files if is_table_read else source.files[:1]
    digests = [file.sha256 or source.fingerprint for file in files]
    return fingerprint_of([description.fingerprint, digests])


def embed_shards(
    job: EmbedJob, encoder: Encoder | None, tasks: Iterator[ShardTask]
) -> Iterator[ShardProgress | ShardResult]:
    """Compute the shards of `tasks` and yield how each ended, with progress between.

    A shard that fails becomes a result with an error; the others continue.

    Args:
        job: what they have in common.
        encoder: the encoder, where it is loaded already.
        tasks: the shards, by their number in the manifest of the source.

    Raises:
        DiskFull: there is no room; committed shards stay.
        PlanMismatch: this worker has loaded other weights than the run began with.
    """
    source = open_store(job.source_url)
    records = {record.shard_id: record for record in read_manifest(source).shards}
    options = job.options
    loaded = encoder or open_encoder(job.encoder, job.encoder_options)
    _check_identity(job, loaded)
    batches = BatchEncoder(
        loaded, options.batch_size, options.prepare_threads, job.description.caption_column
    )
    with closing(batches), one_cpu_thread():
        for task in tasks:
            try:
                yield from _embed_shard(job, task, source, records[task.shard_id], batches)
            except DiskFull:
                raise
            except DatasetAssetsError as exc:
                yield ShardResult(task, error=str(exc))


def _check_identity(job: EmbedJob, encoder: Encoder) -> None:
    """Refuse an encoder that is not the one whose fingerprint the shards get.

    Raises:
        PlanMismatch: a branch on the Hub has moved, or a file of weights was replaced.
    """
    if dict(encoder.identity()) != job.description.identity:
        raise PlanMismatch(
            f"encoder {job.encoder}: expected the weights and settings that the run began with, "
            "got others; a branch has moved or a file was replaced. Set revision to a commit, and "
            "run again"
        )


def _embed_shard(
    job: EmbedJob, task: ShardTask, source: Store, record: ShardRecord, batches: BatchEncoder
) -> Iterator[ShardProgress | ShardResult]:
    store = open_store(task.folder)
    fingerprint = shard_fingerprint(job.description, record)
    committed = read_record(store, record.name)
    if committed is not None and committed.fingerprint == fingerprint:
        yield ShardResult(task, committed, skipped=True)
        return
    if is_own_record(store, record.name):
        check_lease(store, task.lease)
        store.delete(record.record_name)  # from here on the outdated shard does not exist
    metadata = {
        "format": "dataset_assets.embeddings",
        "encoder": job.encoder,
        "identity": json.dumps(job.description.identity, sort_keys=True),
        "fingerprint": fingerprint,
        "source": hashlib.sha256(record.fingerprint.encode()).hexdigest(),
    }
    tally = Tally()
    with ShardWriter(store, record.name, job.description.arrays, metadata) as writer:
        rows = (row for row in read_rows(source, record) if row.columns["status"] == SUCCESS)
        yield from _counted(batches.write(rows, writer), tally)
        check_lease(store, task.lease)
        files = writer.commit()
    made = tally.record(record.name, record.shard_id, fingerprint, files)
    write_record(store, made)
    yield ShardResult(task, made)


def _counted(rows: Iterator[Row], tally: Tally) -> Iterator[ShardProgress]:
    """Count rows, and yield progress now and then."""
    done = 0
    successes = 0
    reported = time.monotonic()
    for row in rows:
        if row.cause is not None:
            row.columns["status"] = row.cause.status
        tally.add(row)
        done += 1
        successes += row.cause is None
        now = time.monotonic()
        if now - reported >= _PROGRESS_EVERY_S:
            yield ShardProgress(done, successes, 0)
            done = successes = 0
            reported = now
    if done:
        yield ShardProgress(done, successes, 0)
