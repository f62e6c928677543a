"""What stands beside the shards of a staged partition: `index.parquet`, where every sample lies, and `staged.json`, what the dataset is.

Both are made from the committed shards alone, so a run that was stopped before them makes the same ones. The manifest names them with their sha256.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import Manifest, ShardFile, ShardRecord, add_counts
from dataset_assets.records.staged import LABEL_COUNTS, StagedDataset
from dataset_assets.shards.commits import read_manifest
from dataset_assets.shards.reading import metadata_file
from dataset_assets.staging.source import StagingPartition, StagingSource
from dataset_assets.storage.store import Store

INDEX_FILE = "index.parquet"
STAGED = "staged.json"
_DESCRIBED = ("extension", "width", "height")


@dataclass(slots=True)
class _Labels:
    """Pixels of each label, and the samples in which it occurs."""

    pixels: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)

    def add(self, texts: Sequence[str | None]) -> None:
        for text in texts:
            counts = json.loads(text) if text else {}
            self.pixels.update(counts)
            self.images.update(counts.keys())


def write_summary(
    store: Store,
    source: StagingSource,
    partition: StagingPartition,
    records: Sequence[ShardRecord],
    places: Sequence[str],
) -> list[ShardFile]:
    """Write the files of the whole set and return them. `places` are the columns that say where a sample lies: the first two of its payload."""
    labels = _Labels()
    names = ["key", *places[:2], *_DESCRIBED, *places[2:], *partition.columns, LABEL_COUNTS]
    index = _write_index(store, names, records, labels)
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
        pixels=_by_label(labels.pixels),
        images=_by_label(labels.images),
        warnings=dict(sorted(partition.warnings().items())),
        archives=dict(sorted(partition.archives.items())),
    )
    data = staged.to_json()
    store.write(STAGED, data)
    return [index, ShardFile(STAGED, len(data), hashlib.sha256(data).hexdigest())]


def read_staged(store: Store, manifest: Manifest | None = None) -> StagedDataset | None:
    """Read what a staged partition is; None when a shard set is none.

    Raises:
        ObjectMissing: there is no manifest.
        ShardCorrupt: the manifest names it, but it is gone or has changed.
    """
    manifest = manifest or read_manifest(store)
    file = next((each for each in manifest.extra_files if each.name == STAGED), None)
    if file is None:
        return None
    try:
        data = store.read(STAGED)
        if hashlib.sha256(data).hexdigest() == file.sha256:
            return StagedDataset.from_json(data)
    except (ObjectMissing, ValueError, TypeError, KeyError) as exc:
        raise ShardCorrupt(
            f"{store.locate(STAGED)} can not be read ({exc}); stage again to write it"
        ) from exc
    raise ShardCorrupt(
        f"{store.locate(STAGED)} is not the one that the manifest names; stage again to write it"
    )


def is_redistributable(store: Store) -> bool:
    """Tell whether the license of a shard set lets it be published. Sets that were not staged from a published dataset say nothing against it."""
    staged = read_staged(store)
    return staged is None or staged.license.redistributable


def _by_label(counts: Counter[str]) -> dict[str, int]:
    return {label: counts[label] for label in sorted(counts, key=int)}


def _write_index(
    store: Store, names: list[str], records: Sequence[ShardRecord], labels: _Labels
) -> ShardFile:
    sink, writer = io.BytesIO(), None
    for shard, table in _tables(store, records, [*names, "status"]):
        labels.add(table.column(LABEL_COUNTS).to_pylist())
        chosen = table.filter(pc.equal(table.column("status"), SUCCESS)).select(names)
        chosen = chosen.add_column(
            1, pa.field("shard", pa.int32()), pa.array([shard] * len(chosen), pa.int32())
        )
        writer = writer or pq.ParquetWriter(sink, chosen.schema, compression="zstd")
        writer.write_table(chosen.combine_chunks())
    if writer is not None:
        writer.close()
    data = sink.getvalue()
    store.write(INDEX_FILE, data)
    return ShardFile(INDEX_FILE, len(data), hashlib.sha256(data).hexdigest())


def _tables(
    store: Store, records: Sequence[ShardRecord], names: list[str]
) -> Iterator[tuple[int, Any]]:
    for record in records:
        file = metadata_file(record)
        if file is None:
            raise ShardCorrupt(f"{store.locate(record.name)}: the shard has no table of its rows")
        with store.open_read(file.name) as opened:
            try:
                yield record.shard_id, pq.read_table(opened, columns=names, use_threads=False)
            except (pa.ArrowException, OSError) as exc:
                raise ShardCorrupt(
                    f"{store.locate(file.name)}: not a readable parquet file: {exc}"
                ) from exc
