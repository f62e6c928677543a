"""Parquet objects of a shard: the metadata of all rows (the sidecar), and the table with payloads that the `parquet` format is.

Rows are buffered up to a row group. Metadata is zstd with dictionaries; a payload column is stored as it is, since what it holds is compressed
already, and a dictionary or statistics of it would only copy bytes. Equal rows give equal bytes with one version of pyarrow.
Format: https://parquet.apache.org/docs/file-format/
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ConfigurationError, ShardCorrupt
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards._text import without_surrogates
from dataset_assets.shards.writer import INDEX, WriterOptions, part_columns
from dataset_assets.storage.sink import Sink
from dataset_assets.storage.store import Staged, Store

SUFFIX = ".parquet"
GROUP_ROWS = 1000


class Table:
    """A staged parquet object that takes rows."""

    def __init__(
        self,
        staged: Staged,
        schema: pa.Schema,
        *,
        payload: str | None = None,
        group_rows: int = GROUP_ROWS,
    ) -> None:
        self._staged = staged
        self._sink = Sink(staged)
        self._schema = schema
        self._group_rows = group_rows
        self._rows: list[dict[str, Any]] = []
        self._closed = False
        with ExitStack() as undo:
            undo.enter_context(staged)
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._sink, mode="w"), schema, **_encoding(schema, payload)
            )
            undo.pop_all()

    def append(self, values: dict[str, Any]) -> None:
        """Add a row: a value for every column."""
        self._rows.append(values)
        if len(self._rows) >= self._group_rows:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows as a row group."""
        if not self._rows:
            return
        columns = (
            (field.name, field) for field in self._schema
        )  # asking a field for its name makes a new string each time
        arrays = [_array([row[name] for row in self._rows], field) for name, field in columns]
        self._rows = []
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the rest and make it durable. Idempotent."""
        if not self._closed:
            self.flush()
            self._writer.close()
            self._staged.close()
            self._closed = True

    def commit(self) -> ShardFile:
        """Make it visible."""
        self.close()
        self._staged.commit()
        return ShardFile(self._staged.key, self._staged.bytes, self._staged.sha256)

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._rows = []
        self._sink.drop()  # closing the parquet writer would write a footer
        if not self._closed:
            self._writer.close()
            self._closed = True
        self._staged.discard()


class Sidecar(Table):
    """The metadata of all rows of a shard, failed ones too."""

    def __init__(self, store: Store, options: WriterOptions) -> None:
        self._with_index, self._parts = options.with_index, options.parts
        super().__init__(store.stage(options.name + SUFFIX), options.table_schema)

    def add(
        self, row: Row, offset: int | None = None, part_offsets: Mapping[str, int] | None = None
    ) -> None:
        """Add a row; `offset` is where its payload starts in the sample file, `part_offsets` where its parts do."""
        values = row_values(row, offset) if self._with_index else {**row.columns, **row.extra}
        for part in self._parts:
            start = (part_offsets or {}).get(part)
            values.update(
                zip(
                    part_columns(part),
                    (start, None if start is None else len(row.parts[part])),
                    strict=True,
                )
            )
        self.append(values)


def row_values(row: Row, offset: int | None) -> dict[str, Any]:
    """Return the values of a row's sidecar columns, the index among them."""
    size = None if row.payload is None else len(row.payload)
    return {**row.columns, **row.extra, INDEX[0].name: offset, INDEX[1].name: size}


def read_table(
    store: Store, key: str, *, columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a parquet object, a row group in memory at a time.

    Raises:
        ShardCorrupt: it is not a parquet file, or not a whole one.
    """
    with store.open_read(key) as file:
        try:
            table = pq.ParquetFile(file)
            for group in range(table.num_row_groups):
                yield from table.read_row_group(
                    group, columns=columns, use_threads=False
                ).to_pylist()
        except (pa.ArrowException, OSError) as exc:
            raise ShardCorrupt(f"{key}: not a readable parquet file: {exc}") from exc


def read_schema(store: Store, key: str) -> pa.Schema:
    """Return the columns of a parquet object.

    Raises:
        ShardCorrupt: it is not a parquet file, or not a whole one.
    """
    with store.open_read(key) as file:
        try:
            return pq.read_schema(file)
        except (pa.ArrowException, OSError) as exc:
            raise ShardCorrupt(f"{key}: not a readable parquet file: {exc}") from exc


def _encoding(schema: pa.Schema, payload: str | None) -> dict[str, Any]:
    if payload is None:
        return {"compression": "zstd"}
    others = [path for path in _leaf_paths(schema) if path != payload]
    codecs = {**dict.fromkeys(others, "zstd"), payload: "none"}
    return {"compression": codecs, "use_dictionary": others, "write_statistics": others}


def _leaf_paths(schema: pa.Schema) -> list[str]:
    """Name the physical columns; nested ones have several, with dots."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    physical = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    return [physical.column(i).path for i in range(len(physical.names))]


def _array(values: list[Any], field: pa.Field) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except UnicodeEncodeError:
        return _array(without_surrogates(values), field)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        raise ConfigurationError(
            f"column {field.name!r}: expected values of type {field.type}, came others: {exc}"
        ) from exc
