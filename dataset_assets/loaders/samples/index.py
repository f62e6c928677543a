"""Tables that say where samples are: `index.parquet` of a staged partition, or sidecars of shards.

Every table has the columns `key`, `shard` (position among the shards that have files), offset and
length of the payload, both in bytes.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ConfigurationError, ShardCorrupt
from dataset_assets.records.shards import Manifest, ShardRecord
from dataset_assets.shards.reading import metadata_file
from dataset_assets.shards.writer import INDEX, index_names, part_columns
from dataset_assets.storage.parquet import translate_parquet_errors
from dataset_assets.storage.store import Store

OFFSET, BYTES = (field.name for field in INDEX)
_READERS = 16  # threads that read sidecars


def check_format(store: Store, manifest: Manifest) -> None:
    """Check that the shards have random access.

    Raises:
        ConfigurationError: they do not.
    """
    if manifest.output_format != "webdataset":
        raise ConfigurationError(
            f"{store.url}: expected shards of the format 'webdataset', whose samples can be read "
            f"one by one, got {manifest.output_format!r}"
        )


def read_index(where: str, data: bytes, records: Sequence[ShardRecord]) -> pa.Table:
    """Return the table of an `index.parquet`.

    Args:
        where: location of the file, for messages.
        data: its content.
        records: the shards that have files, in the order of the manifest.

    Raises:
        ShardCorrupt: it is not such a table, or does not match the manifest.
    """
    table = _parquet(where, data)
    missing = {"key", "shard", OFFSET, BYTES}.difference(table.column_names)
    if missing:
        raise ShardCorrupt(f"{where} has no column {min(missing)!r}: stage it again")
    ids = np.array([record.shard_id for record in records], np.int64)
    shard = table["shard"].to_numpy()
    position = np.searchsorted(ids, shard)
    if len(shard) and not _is_in_order(position, ids, shard):
        raise ShardCorrupt(
            f"{where} names other shards than the manifest, or in another order: stage it again"
        )
    return _with_shard(table, position)


def read_sidecars(
    store: Store, manifest: Manifest, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the table of all successes of a shard set.

    Args:
        store: the folder of the shard set.
        manifest: its manifest.
        columns: columns to read beside the offsets, if a sidecar has them. None: all.

    Raises:
        ConfigurationError: sidecars do not say where samples are.
        ShardCorrupt: a sidecar is missing or not readable.
    """
    records = [record for record in manifest.shards if record.files]
    with ThreadPoolExecutor(_READERS) as pool:
        tables = list(pool.map(partial(_sidecar, store, columns=columns), records))
    if not tables:
        schema = [("key", pa.string()), (OFFSET, pa.int64()), (BYTES, pa.int64())]
        return _with_shard(pa.schema(schema).empty_table(), np.zeros(0, np.int64))
    position = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    try:
        table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as exc:
        raise ShardCorrupt(
            f"{store.url}: expected the same columns in the Parquet files of all shards, got "
            f"others ({' '.join(str(exc).split())}); download it again"
        ) from exc
    return _with_shard(table, position)


def parts_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the extensions of the parts of an index.

    Column names have underscores in place of dots; the last one is taken to be the dot.
    """
    found = index_names([name for name in names if name != "shard"]) - {OFFSET, BYTES}
    suffix = f"_{OFFSET}"
    stems = [name.removesuffix(suffix) for name in names if name in found and name.endswith(suffix)]
    return tuple(".".join(stem.rsplit("_", 1)) for stem in stems if part_columns(stem)[1] in found)


def _is_in_order(position: Any, ids: Any, shard: Any) -> bool:
    if position.max() >= len(ids) or np.any(np.diff(position) < 0):
        return False
    return np.array_equal(ids[position], shard)


def _sidecar(store: Store, record: ShardRecord, columns: Sequence[str] | None) -> pa.Table:
    file = metadata_file(record)
    if file is None:
        raise ShardCorrupt(
            f"shard {record.name} of {store.url} has no {record.name}.parquet: download it again"
        )
    where = store.locate(file.name)
    wanted = None if columns is None else [OFFSET, BYTES, *columns]
    table = _parquet(where, store.read(file.name), wanted)
    if not {OFFSET, BYTES}.issubset(table.column_names):
        raise ConfigurationError(
            f"{where} has no columns {OFFSET!r} and {BYTES!r}: download with "
            "layout='dataset_assets' to read samples one by one"
        )
    return table.filter(table[OFFSET].is_valid())


def _parquet(where: str, data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    with translate_parquet_errors(where):
        file = pq.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        found = None if columns is None else [name for name in columns if name in names]
        table = file.read(columns=found, use_threads=False).combine_chunks()
    _check_columns(where, table)
    return table


def _check_columns(where: str, table: pa.Table) -> None:
    """Check the columns that say which samples there are, and where.

    Raises:
        ShardCorrupt: two have one name, or one has another type than it must have.
    """
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ShardCorrupt(f"{where} has two columns {twice[0]!r}: make it again")
    numbers = {OFFSET, BYTES, "shard", *index_names(names)}.intersection(names)
    for name in sorted(numbers | {"key"}.intersection(names)):
        kind = table.schema.field(name).type
        is_key = name == "key"
        is_right = pa.types.is_string(kind) if is_key else pa.types.is_integer(kind)
        has_gaps = name in ("key", "shard") and table[name].null_count > 0
        if not is_right or has_gaps:
            expected = "texts" if is_key else "integers"
            found = "empty values" if is_right else str(kind)
            raise ShardCorrupt(
                f"{where}: column {name!r}: expected {expected}, got {found}; make it again"
            )


def _with_shard(table: pa.Table, position: Any) -> pa.Table:
    if "shard" in table.column_names:
        table = table.drop_columns(["shard"])
    return table.append_column("shard", pa.array(position.astype(np.int32))).combine_chunks()
