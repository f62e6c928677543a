"""Puts rows that arrive in any order into row order, in bounded memory.

A slow row holds back all rows after it. Their payloads wait in memory up to a limit, and beyond it
in a temporary file without a name. So one slow URL neither stops a shard nor fills the memory, and
a killed process leaves nothing behind. The file is truncated whenever no row in it is waiting.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from dataset_assets.errors import DiskFull, ShardError
from dataset_assets.records.shards import Row


class ReorderBuffer:
    """Takes the rows of one shard, each index from 0 once, and returns them in row order.

    A context manager that closes itself.
    """

    def __init__(self, max_bytes: int, spill_folder: str | Path | None = None) -> None:
        """Create an empty buffer.

        Args:
            max_bytes: payload to hold in memory; more is spilled to a file.
            spill_folder: folder of that file, which is created when needed; None is the system's.
        """
        self._max_bytes = max_bytes
        self._spill_folder = spill_folder
        self._next = 0
        self._rows: dict[int, Row] = {}
        #: index of a row -> (offset, length) of its payload in the file
        self._spilled: dict[int, tuple[int, int]] = {}
        #: payload in memory
        self._bytes = 0
        self._file: BinaryIO | None = None
        self._file_bytes = 0

    def __len__(self) -> int:
        """Return how many rows are waiting."""
        return len(self._rows)

    def add(self, index: int, row: Row) -> None:
        """Take a row. Its payload may leave memory until `ready` returns it.

        Raises:
            DiskFull: there is no space to spill.
            ShardError: the row was added before.
        """
        if index < self._next or index in self._rows:
            raise ShardError(f"expected each row of a shard once, got row {index} twice")
        if row.payload is not None:
            size = len(row.payload)
            if index != self._next and self._bytes + size > self._max_bytes:
                self._spilled[index] = (self._spill(row.payload), size)
                row.payload = None
            else:
                self._bytes += size
        self._rows[index] = row

    def ready(self) -> Iterator[Row]:
        """Yield and forget the rows that are next in row order."""
        while (row := self._rows.pop(self._next, None)) is not None:
            if place := self._spilled.pop(self._next, None):
                row.payload = self._unspill(*place)
            elif row.payload is not None:
                self._bytes -= len(row.payload)
            self._next += 1
            yield row

    def close(self) -> None:
        """Forget all rows and free the file. Idempotent."""
        self._rows.clear()
        self._spilled.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _spill(self, payload: bytes) -> int:
        """Append to the file; return the offset."""
        try:
            if self._file is None:
                # The file lives as long as the buffer.
                self._file = tempfile.TemporaryFile(dir=self._spill_folder, buffering=0)  # noqa: SIM115
            written = 0
            while written < len(payload):
                written += os.pwrite(
                    self._file.fileno(), memoryview(payload)[written:], self._file_bytes + written
                )
        except OSError as exc:
            folder = self._spill_folder or tempfile.gettempdir()
            raise DiskFull(
                f"{folder}: cannot spill rows that wait for a slow one: {exc.strerror}; "
                "free some space there or raise reorder_bytes"
            ) from exc
        self._file_bytes += len(payload)
        return self._file_bytes - len(payload)

    def _unspill(self, offset: int, length: int) -> bytes:
        if self._file is None:
            raise ShardError("the reorder buffer is closed")
        self._file.seek(offset)
        payload = self._file.read(length)
        if not self._spilled:
            self._file.truncate(0)
            self._file_bytes = 0
        return payload
