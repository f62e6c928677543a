"""Writes Parquet files into a store, and names the file that cannot be read as one.

Callers decide what a file holds and how it is encoded.
Format: https://parquet.apache.org/docs/file-format/
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ShardCorrupt
from dataset_assets.storage.store import Staged


@contextmanager
def translate_parquet_errors(where: str, remedy: str = "") -> Iterator[None]:
    """Raise `ShardCorrupt` for a file that is not a Parquet file, or a truncated one.

    Args:
        where: the file, for the error.
        remedy: what the reader of the error can do.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as exc:
        advice = f"; {remedy}" if remedy else ""
        reason = " ".join(str(exc).split())
        raise ShardCorrupt(f"{where}: not a readable Parquet file: {reason}{advice}") from exc


class ParquetSink:
    """A staged object that takes Arrow tables. A context manager that discards unless committed."""

    def __init__(self, staged: Staged, schema: pa.Schema, **encoding: Any) -> None:
        """Start the file.

        Args:
            staged: where the bytes go; discarded when the file cannot be started.
            schema: of every table.
            encoding: options of `pyarrow.parquet.ParquetWriter`.
        """
        self.staged = staged
        self._file = _PythonFile(staged)
        self._is_open = True
        with ExitStack() as undo:
            undo.enter_context(staged)
            target = pa.PythonFile(self._file, mode="w")
            self._writer = pq.ParquetWriter(target, schema, **encoding)
            undo.pop_all()

    def write(self, table: pa.Table, row_group_size: int | None = None) -> None:
        """Append the rows of a table as row groups of at most `row_group_size` rows.

        Raises:
            DiskFull, StorageError: the store refuses the bytes.
        """
        self._writer.write_table(table, row_group_size)

    def close(self) -> None:
        """Write the footer and make the bytes durable; the file stays invisible. Idempotent."""
        if self._is_open:
            self._writer.close()
            self.staged.close()
            self._is_open = False

    def commit(self) -> None:
        """Close the file and make it visible. Idempotent."""
        self.close()
        self.staged.commit()

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._file.drop_writes()  # closing a Parquet writer writes a footer
        if self._is_open:
            self._is_open = False
            self._writer.close()
        self.staged.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()


class _PythonFile:
    """A staged object with the methods that `pa.PythonFile` calls; `close` leaves it open."""

    closed = False

    def __init__(self, staged: Staged) -> None:
        self._staged: Staged | None = staged
        self._position = 0

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self._staged is not None:
            self._staged.write(view)
        self._position += len(view)
        return len(view)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def drop_writes(self) -> None:
        self._staged = None


def leaf_paths(schema: pa.Schema) -> list[str]:
    """Name the physical columns of a Parquet file; a nested column has several, with dots."""
    file = pa.BufferOutputStream()
    pq.ParquetWriter(file, schema).close()
    physical = pq.read_metadata(pa.BufferReader(file.getvalue())).schema
    return [physical.column(index).path for index in range(len(physical.names))]
