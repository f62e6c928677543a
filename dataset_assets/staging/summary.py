"""The files beside the shards of a staged partition.

`index.parquet` says where every sample is, `staged.json` what the dataset is. Both are made from
the committed shards alone, so a run that was stopped before writing them makes the same ones. The
manifest names them with their sha256.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import Manifest, ShardFile, ShardRecord, add_counts
from dataset_assets.records.staged import LABEL_COUNTS, StagedDataset
from dataset_assets.records.stored_json import parse_stored
from dataset_assets.shards.commits import read_manifest
from dataset_assets.shards.reading import metadata_file, read_extra_file
from dataset_assets.staging.source import StagingPartition, StagingSource
from dataset_assets.storage.parquet import ParquetSink, translate_parquet_errors
from dataset_assets.storage.store import Store

INDEX_FILE = "index.parquet"
STAGED_FILE = "staged.json"
_DESCRIPTION = ("extension", "width", "height")


@dataclass(slots=True)
class _LabelCounts:
    """Pixels of each label, and the samples in which it occurs."""

    pixels: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)

    def add(self, texts: Sequence[str | None]) -> None:
        """Add the label counts of rows, as JSON."""
        for text in texts:
            counts = json.loads(text) if text else {}
            self.pixels.update(counts)
            self.images.update(counts.keys())


def write_summary(
    store: Store,
    source: StagingSource,
    partition: StagingPartition,
    records: Sequence[ShardRecord],
    locations: Sequence[str],
) -> list[ShardFile]:
    """Write the index and the description of a staged partition; return both files.

    Args:
        store: folder of the partition.
        source: the dataset.
        partition: the open partition.
        records: its committed shards.
        locations: columns that say where a sample is; the first two are those of its payload.
    """
    labels = _LabelCounts()
    columns = [
        "key",
        *locations[:2],
        *_DESCRIPTION,
        *locations[2:],
        *partition.columns,
        LABEL_COUNTS,
    ]
    index = _write_index(store, columns, records, labels)
    staged = StagedDataset(
        source=source.kind,
        partition=partition.name,
        license=source.license,
        classes=tuple(partition.classes),
        parts=tuple(partition.parts),
        columns=dict(partition.columns),
        rows=sum(record.count for record in records),
        samples=sum(record.successes for record in records),
        causes=dict(sorted(add_counts(record.causes for record in records).items())),
        pixels=_sort_by_label(labels.pixels),
        images=_sort_by_label(labels.images),
        warnings=dict(sorted(partition.warnings.items())),
        archives=dict(sorted(partition.archives.items())),
    )
    return [index, _write_file(store, STAGED_FILE, staged.to_json())]


def read_staged(store: Store, manifest: Manifest | None = None) -> StagedDataset | None:
    """Read the description of a staged partition; None where a shard set has none.

    Raises:
        ObjectMissing: there is no manifest.
        ShardCorrupt: the manifest names a description that is missing or has changed.
    """
    manifest = manifest or read_manifest(store)
    data = read_extra_file(store, manifest, STAGED_FILE)
    if data is None:
        return None
    return parse_stored(
        data,
        StagedDataset.from_json,
        where=store.locate(STAGED_FILE),
        expected="the description of a staged partition",
        remedy="stage again to write it",
    )


def _sort_by_label(counts: Counter[str]) -> dict[str, int]:
    return {label: counts[label] for label in sorted(counts, key=int)}


def _write_index(
    store: Store, columns: list[str], records: Sequence[ShardRecord], labels: _LabelCounts
) -> ShardFile:
    """Write the rows that have a sample, shard by shard, and count the labels of all rows."""
    sink: ParquetSink | None = None
    with ExitStack() as opened:
        for shard_id, table in _read_tables(store, records, [*columns, "status"]):
            labels.add(table.column(LABEL_COUNTS).to_pylist())
            rows = table.filter(pc.equal(table.column("status"), SUCCESS)).select(columns)
            shard = pa.array([shard_id] * len(rows), pa.int32())
            rows = rows.add_column(1, pa.field("shard", pa.int32()), shard)
            if sink is None:
                staged = store.stage(INDEX_FILE)
                sink = opened.enter_context(ParquetSink(staged, rows.schema, compression="zstd"))
            sink.write(rows.combine_chunks())
        if sink is None:
            return _write_file(store, INDEX_FILE, b"")
        sink.commit()
    return ShardFile(INDEX_FILE, sink.staged.bytes, sink.staged.sha256)


def _write_file(store: Store, name: str, data: bytes) -> ShardFile:
    store.write(name, data)
    return ShardFile(name, len(data), hashlib.sha256(data).hexdigest())


def _read_tables(
    store: Store, records: Sequence[ShardRecord], columns: list[str]
) -> Iterator[tuple[int, Any]]:
    """Yield the number and the rows of each shard."""
    for record in records:
        file = metadata_file(record)
        if file is None:
            raise ShardCorrupt(
                f"{store.locate(record.name)}: expected a table of its rows, got none; stage again"
            )
        with store.open_read(file.name) as opened:
            with translate_parquet_errors(store.locate(file.name), "stage again to write it"):
                table = pq.read_table(opened, columns=columns, use_threads=False)
            yield record.shard_id, table
