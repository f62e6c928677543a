"""Reads a committed shard back into the rows that it was written from, payloads included.

Only files that the record names are read: one sequential pass over the sample file beside one over
the metadata. Nothing is extracted. `retry_failed` starts with this.
"""

import hashlib
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from dataset_assets import registry
from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.causes import SUCCESS, Cause
from dataset_assets.records.shards import Manifest, Row, ShardFile, ShardRecord
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.shards.sidecar import SUFFIX, read_schema, read_table
from dataset_assets.shards.writer import StoredSample, Writer, index_names
from dataset_assets.storage.store import Store

_CAUSES = frozenset(Cause)


def read_rows(store: Store, record: ShardRecord, *, extra: Collection[str] = ()) -> Iterator[Row]:
    """Yield the rows of a committed shard in row order, with one payload in memory at a time.

    A shard without files has no rows. Index columns are left out: writing makes them again.

    Args:
        store: the shard set.
        record: the record of the shard.
        extra: columns that go to `Row.extra`.

    Raises:
        ShardCorrupt: the files do not agree with the record.
        ObjectMissing: a file is missing.
    """
    samples = read_samples(store, record)
    count = 0
    rows = read_values(store, record)
    first = next(rows, {})
    not_columns = index_names(list(first)) | frozenset(extra)
    for count, values in enumerate(chain([first] if first else [], rows), start=1):
        row = _row(count - 1, values, extra, not_columns)
        if values["status"] == SUCCESS:
            _add_payload(row, next(samples, None), record.name)
        yield row
    left = next(samples, None)
    if left is not None:
        raise ShardCorrupt(f"shard {record.name}: sample {left.key} has no row")
    if record.files and count != record.count:
        raise ShardCorrupt(f"shard {record.name}: expected {record.count} rows, got {count}")


def writer_of(record: ShardRecord) -> type[Writer]:
    """Return the format that wrote a shard, recognized by the suffix of its sample file.

    Raises:
        ShardCorrupt: no format writes such a file.
    """
    suffix = record.files[0].name.removeprefix(record.name) if record.files else None
    for name in registry.names("output_format"):
        writer: type[Writer] = registry.load("output_format", name)
        if writer.suffix == suffix:
            return writer
    raise ShardCorrupt(f"shard {record.name}: no output format writes {record.files[0].name!r}")


def read_samples(store: Store, record: ShardRecord) -> Iterator[StoredSample]:
    """Yield the samples of a committed shard in file order.

    Raises:
        ShardCorrupt: the sample file does not agree with its format.
        ObjectMissing: it is missing.
    """
    return writer_of(record).samples(store, record.files[0]) if record.files else iter(())


def read_values(store: Store, record: ShardRecord) -> Iterator[dict[str, Any]]:
    """Yield the metadata of all rows of a committed shard, index columns included.

    Raises:
        ShardCorrupt: the table of the rows is not readable, or lacks a column.
        ObjectMissing: it is missing.
    """
    table = metadata_file(record)
    if table is None:
        return
    columns = read_schema(store, table.name).names
    if not {"key", "status"}.issubset(columns):
        raise ShardCorrupt(
            f"{table.name}: expected columns 'key' and 'status', got {', '.join(columns)}"
        )
    if not writer_of(record).sidecar:
        columns = columns[:-1]  # the last one is the payload
    yield from read_table(store, table.name, columns=columns)


def metadata_file(record: ShardRecord) -> ShardFile | None:
    """Return the Parquet file with the metadata of all rows."""
    return next((file for file in record.files if file.name == record.name + SUFFIX), None)


def read_extra_file(store: Store, manifest: Manifest, name: str) -> bytes | None:
    """Read a file that the manifest lists beside the shards; return None if it lists no such file.

    Raises:
        ShardCorrupt: the file is missing or has changed.
    """
    file = next((each for each in manifest.extra_files if each.name == name), None)
    if file is None:
        return None
    where = store.locate(name)
    data = read_or_none(store.read, name, bytes)
    if data is None:
        raise ShardCorrupt(f"{where} is missing, but {MANIFEST} lists it: stage it again")
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ShardCorrupt(f"{where} differs from its sha256 in {MANIFEST}: stage it again")
    return data


def _row(
    index: int, values: dict[str, Any], extra: Collection[str], not_columns: Collection[str]
) -> Row:
    columns = {name: value for name, value in values.items() if name not in not_columns}
    added = {name: value for name, value in values.items() if name in extra}
    cause = added.get("cause")
    return Row(
        index,
        values["key"],
        columns,
        added,
        caption=values.get("caption"),
        cause=Cause(cause) if cause in _CAUSES else None,
    )


def _add_payload(row: Row, sample: StoredSample | None, shard: str) -> None:
    if sample is None or sample.key != row.key:
        found = sample.key if sample else "missing"
        raise ShardCorrupt(
            f"shard {shard}: row {row.index} ({row.key}) is a success, but the next sample is "
            f"{found}"
        )
    row.payload = sample.payload
    row.parts = sample.parts
    # Formats with one payload column cannot name the extension of each payload; pipelines that keep
    # files of any type add a column for it.
    row.extension = row.extra.get("extension") or sample.extension
