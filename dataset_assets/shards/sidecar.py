"""Parquet files of a shard: the metadata of all rows (the sidecar), and the table with payloads.

Rows are buffered up to a row group. Metadata is compressed with zstd and has dictionaries. A
payload column is stored as it is: payloads are compressed already, and a dictionary or statistics
would only copy their bytes. Equal rows give equal bytes with one version of pyarrow.
Format: https://parquet.apache.org/docs/file-format/
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards._text import without_surrogates
from dataset_assets.shards.writer import INDEX, WriterOptions, part_columns
from dataset_assets.storage.parquet import ParquetSink, leaf_paths, translate_parquet_errors
from dataset_assets.storage.store import Staged, Store

SUFFIX = ".parquet"
GROUP_ROWS = 1000


class ShardTable:
    """A staged Parquet file that takes rows."""

    def __init__(
        self,
        staged: Staged,
        schema: pa.Schema,
        *,
        payload: str | None = None,
        group_rows: int = GROUP_ROWS,
    ) -> None:
        """Start the table.

        Args:
            staged: where the bytes go.
            schema: columns of the table.
            payload: the column that is stored without compression; None is no such column.
            group_rows: rows of a row group.
        """
        self._sink = ParquetSink(staged, schema, **_encoding(schema, payload))
        self._schema = schema
        self._group_rows = group_rows
        self._rows: list[dict[str, Any]] = []

    def append(self, values: dict[str, Any]) -> None:
        """Add a row, with a value for every column."""
        self._rows.append(values)
        if len(self._rows) >= self._group_rows:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows as a row group.

        Raises:
            ConfigurationError: a value does not have the type of its column.
            DiskFull, StorageError: the store refuses the bytes.
        """
        if not self._rows:
            return
        # Reading the name of a field makes a new string each time: read it once per column.
        columns = ((field.name, field) for field in self._schema)
        arrays = [_array([row[name] for row in self._rows], field) for name, field in columns]
        self._rows = []
        self._sink.write(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the remaining rows and make the file durable. Idempotent."""
        self.flush()
        self._sink.close()

    def commit(self) -> ShardFile:
        """Close the file, make it visible and return its record."""
        self.close()
        self._sink.commit()
        staged = self._sink.staged
        return ShardFile(staged.key, staged.bytes, staged.sha256)

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._rows = []
        self._sink.discard()


class Sidecar(ShardTable):
    """The metadata of all rows of a shard, failed rows included."""

    def __init__(self, store: Store, options: WriterOptions) -> None:
        self._with_index = options.with_index
        self._parts = options.parts
        super().__init__(store.stage(options.name + SUFFIX), options.table_schema)

    def add(
        self, row: Row, offset: int | None = None, part_offsets: Mapping[str, int] | None = None
    ) -> None:
        """Add a row.

        Args:
            row: the row.
            offset: where its payload starts in the sample file, in bytes.
            part_offsets: where each of its parts starts.
        """
        values = row_values(row, offset) if self._with_index else {**row.columns, **row.extra}
        for part in self._parts:
            start = (part_offsets or {}).get(part)
            size = None if start is None else len(row.parts[part])
            values.update(zip(part_columns(part), (start, size), strict=True))
        self.append(values)


def row_values(row: Row, offset: int | None) -> dict[str, Any]:
    """Return the values of a row in the columns of the sidecar, index columns included."""
    size = None if row.payload is None else len(row.payload)
    return {**row.columns, **row.extra, INDEX[0].name: offset, INDEX[1].name: size}


def read_table(
    store: Store, key: str, *, columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, with one row group in memory at a time.

    Raises:
        ShardCorrupt: it is not a Parquet file, or a truncated one.
    """
    with store.open_read(key) as file, translate_parquet_errors(key):
        table = pq.ParquetFile(file)
        for group in range(table.num_row_groups):
            rows = table.read_row_group(group, columns=columns, use_threads=False)
            yield from rows.to_pylist()


def read_schema(store: Store, key: str) -> pa.Schema:
    """Return the columns of a Parquet file.

    Raises:
        ShardCorrupt: it is not a Parquet file, or a truncated one.
    """
    with store.open_read(key) as file, translate_parquet_errors(key):
        return pq.read_schema(file)


def _encoding(schema: pa.Schema, payload: str | None) -> dict[str, Any]:
    if payload is None:
        return {"compression": "zstd"}
    others = [path for path in leaf_paths(schema) if path != payload]
    codecs = {**dict.fromkeys(others, "zstd"), payload: "none"}
    return {"compression": codecs, "use_dictionary": others, "write_statistics": others}


def _array(values: list[Any], field: pa.Field) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except UnicodeEncodeError:
        return _array(without_surrogates(values), field)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        raise ConfigurationError(
            f"column {field.name!r}: expected values of type {field.type}, got others: {exc}"
        ) from exc
