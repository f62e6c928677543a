"""Rows in any order -> rows in row order, in bounded memory.

A slow row holds back all rows after it. Their payloads wait in memory up to a limit and beyond it in a temporary file without a name, so one slow url
neither stops a shard nor fills the memory, and a killed process leaves nothing behind. The file is emptied whenever nothing in it is waited for.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from dataset_assets.errors import DiskFull, ShardError
from dataset_assets.records.shards import Row


class ReorderBuffer:
    """Takes the rows of one shard, each index from 0 once, and gives them back in order. A context manager that closes itself."""

    def __init__(self, max_bytes: int, spill_folder: str | Path | None = None) -> None:
        """Keep at most `max_bytes` of payload in memory. The spill file is made in `spill_folder` (None: the system's) when first needed."""
        self._max_bytes = max_bytes
        self._spill_folder = spill_folder
        self._next = 0
        self._rows: dict[int, Row] = {}
        self._spilled: dict[int, tuple[int, int]] = {}  # index -> (offset, length) in the file
        self._bytes = 0  # of payload in memory
        self._file: BinaryIO | None = None
        self._file_bytes = 0

    def __len__(self) -> int:
        """Return how many rows wait."""
        return len(self._rows)

    def add(self, index: int, row: Row) -> None:
        """Take a row; its payload may leave memory until `ready` gives it back.

        Raises:
            DiskFull: there is no room to spill.
            ShardError: the row was there before.
        """
        if index < self._next or index in self._rows:
            raise ShardError(f"row {index} came twice; expected each row of a shard once")
        if (
            row.payload is not None
            and index != self._next
            and self._bytes + len(row.payload) > self._max_bytes
        ):
            self._spilled[index] = (self._spill(row.payload), len(row.payload))
            row.payload = None
        elif row.payload is not None:
            self._bytes += len(row.payload)
        self._rows[index] = row

    def ready(self) -> Iterator[Row]:
        """Yield and forget the rows whose turn it is."""
        while (row := self._rows.pop(self._next, None)) is not None:
            if place := self._spilled.pop(self._next, None):
                row.payload = self._unspill(*place)
            elif row.payload is not None:
                self._bytes -= len(row.payload)
            self._next += 1
            yield row

    def close(self) -> None:
        """Forget everything and free the file. Idempotent."""
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
        """Append to the file; return where."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._spill_folder, buffering=0)  # noqa: SIM115 - lives as long as the buffer
            written = 0
            while written < len(payload):
                written += os.pwrite(
                    self._file.fileno(), memoryview(payload)[written:], self._file_bytes + written
                )
        except OSError as exc:
            folder = self._spill_folder or tempfile.gettempdir()
            message = f"can not spill rows that wait for a slow one to {folder}: {exc.strerror}; free some space there or raise reorder_bytes"
            raise DiskFull(message) from exc
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
