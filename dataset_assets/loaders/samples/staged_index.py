"""Tables of where samples lie: the `index.parquet` of a staged partition, or one made of the sidecars of a shard set."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ConfigurationError, ShardCorrupt
from dataset_assets.records.shards import Manifest, ShardRecord
from dataset_assets.shards.reading import metadata_file
from dataset_assets.shards.writer import INDEX, index_names, part_columns
from dataset_assets.storage.store import Store

_OFFSET, _BYTES = (field.name for field in INDEX)
_READERS = 16  # sidecars at a time


def check_format(store: Store, manifest: Manifest) -> None:
    """Check that samples can be read one by one.

    Raises:
        ConfigurationError: they can not.
    """
    if manifest.output_format != "webdataset":
        raise ConfigurationError(
            f"{store.url}: expected shards of the format 'webdataset', whose samples can be read one by one, came {manifest.output_format!r}"
        )


def read_index(where: str, data: bytes, records: Sequence[ShardRecord]) -> pa.Table:
    """Return the table of an `index.parquet`, `shard` being the position among `records`.

    Raises:
        ShardCorrupt: it is not one.
    """
    table = _parquet(where, data)
    missing = {"key", "shard", _OFFSET, _BYTES}.difference(table.column_names)
    if missing:
        raise ShardCorrupt(f"{where} has no column {min(missing)!r}: stage it again")
    ids = np.array([record.shard_id for record in records], np.int64)
    shard = table["shard"].to_numpy()
    position = np.searchsorted(ids, shard)
    if len(shard) and (
        position.max() >= len(ids)
        or not np.array_equal(ids[position], shard)
        or np.any(np.diff(position) < 0)
    ):
        raise ShardCorrupt(
            f"{where} names other shards than the manifest, or not in its order: stage it again"
        )
    return _with_shard(table, position)


def read_sidecars(store: Store, manifest: Manifest) -> pa.Table:
    """Return such a table for the successes of any shard set.

    Raises:
        ConfigurationError: they do not say where samples lie.
        ShardCorrupt: a sidecar is missing or not readable.
    """
    records = [record for record in manifest.shards if record.files]
    with ThreadPoolExecutor(_READERS) as pool:
        tables = list(pool.map(lambda record: _sidecar(store, record), records))
    if not tables:
        empty = {
            "key": pa.array([], pa.string()),
            _OFFSET: pa.array([], pa.int64()),
            _BYTES: pa.array([], pa.int64()),
        }
        return _with_shard(pa.table(empty), np.zeros(0, np.int64))
    position = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    return _with_shard(
        pa.concat_tables(tables, promote_options="permissive").combine_chunks(), position
    )


def parts_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the extensions of the parts of an index; the table does not say where their dots were, so it is taken to be the last underscore."""
    found = index_names([name for name in names if name != "shard"]) - {_OFFSET, _BYTES}
    stems = [
        name.removesuffix(f"_{_OFFSET}")
        for name in names
        if name in found and name.endswith(f"_{_OFFSET}")
    ]
    return tuple(".".join(stem.rsplit("_", 1)) for stem in stems if part_columns(stem)[1] in found)


def _sidecar(store: Store, record: ShardRecord) -> pa.Table:
    file = metadata_file(record)
    if file is None:
        raise ShardCorrupt(
            f"shard {record.name} of {store.url} has no {record.name}.parquet: download it again"
        )
    table = _parquet(store.locate(file.name), store.read(file.name))
    if not {_OFFSET, _BYTES}.issubset(table.column_names):
        raise ConfigurationError(
            f"{store.locate(file.name)} has no columns {_OFFSET!r} and {_BYTES!r}: download with layout='dataset_assets' to read samples one by one"
        )
    return table.filter(table[_OFFSET].is_valid())


def _parquet(where: str, data: bytes) -> pa.Table:
    try:
        return pq.read_table(pa.BufferReader(data), use_threads=False).combine_chunks()
    except (pa.ArrowException, OSError) as exc:
        raise ShardCorrupt(f"{where}: not a readable parquet file: {exc}") from exc


def _with_shard(table: pa.Table, position: Any) -> pa.Table:
    if "shard" in table.column_names:
        table = table.drop_columns(["shard"])
    return table.append_column("shard", pa.array(position.astype(np.int32))).combine_chunks()
