"""Metadata of the partitions of `shards`: counts, causes, throughput, files and samples."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import pyarrow.parquet as pq

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.contact_sheets import SAMPLES, contact_sheet_metadata
from dataset_assets.orchestration.stages.shards.section import CAUSES
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import ShardRecord, add_counts
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.shards.reading import read_samples
from dataset_assets.storage.store import Store


def partition_metadata(
    store: Store, records: Sequence[ShardRecord], *, has_images: bool
) -> dict[str, Any]:
    """Describe the shards of a partition, and write a contact sheet next to them. Idempotent."""
    shown = next((record for record in records if record.successes), None) if has_images else None
    return _counts(records) | _contact_sheet(store, shown) | _files(store, records)


def run_metadata(records: Sequence[ShardRecord]) -> dict[str, Any]:
    """Describe what all partitions of a run have in common."""
    shares = [metadata.share(record.successes, record.count) for record in records]
    if len(shares) < 2:
        return {}
    return {"success over the shards of this run": metadata.sparkline(shares)}


def _counts(records: Sequence[ShardRecord]) -> dict[str, Any]:
    rows = sum(record.count for record in records)
    successes = sum(record.successes for record in records)
    causes = add_counts(record.causes for record in records)
    start = min(record.start_time for record in records)
    seconds = max(record.end_time for record in records) - start
    transient = (count for cause, count in causes.items() if Cause(cause).is_transient)
    return {
        "dagster/partition_row_count": rows,
        "samples": successes,
        "success rate": metadata.share(successes, rows),
        CAUSES: metadata.causes_table(causes, rows),
        "transient failures": sum(transient),
        "requests": sum(record.requests for record in records),
        "bytes downloaded": sum(record.bytes_downloaded for record in records),
        "bytes stored": sum(record.bytes_stored for record in records),
        "seconds": round(seconds, 3),
        "rows per second": round(rows / seconds, 1) if seconds > 0 else 0.0,
    }


def _files(store: Store, records: Sequence[ShardRecord]) -> dict[str, Any]:
    files = [file for record in records for file in record.files]
    found = {
        "dagster/uri": store.url,
        "manifest": metadata.link(store.locate(MANIFEST)),
        "files": metadata.table(
            {"file": file.name, "bytes": file.bytes, "sha256": (file.sha256 or "")[:16]}
            for file in files
        ),
    }
    sidecar = next((file.name for file in files if file.name.endswith(".parquet")), None)
    if sidecar is not None:
        with store.open_read(sidecar) as opened:
            found["dagster/column_schema"] = metadata.column_schema(pq.read_schema(opened))
    return found


def _contact_sheet(store: Store, record: ShardRecord | None) -> dict[str, Any]:
    if record is None:
        return {}
    return contact_sheet_metadata(
        store, lambda: [each.payload for each in islice(read_samples(store, record), SAMPLES)]
    )
