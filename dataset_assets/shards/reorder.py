"""Puts rows that arrive in any order into row order, in bounded memory.

A slow row holds back all rows after it. Their payloads wait in memory, up to a limit for all shards
of a worker, and beyond it in a temporary file without a name. So one slow URL neither stops a shard
nor fills the memory, and a killed process leaves nothing behind. The file is truncated whenever no
row in it is waiting.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Self

from dataset_assets.errors import DiskFull, ShardError
from dataset_assets.records.shards import Row

#: Further shards are opened while the files of spilled payloads are shorter than this, in bytes,
#: and than this share of the free disk for all workers.
MAX_SPILLED_BYTES = 4 << 30
SPILLED_SHARE = 0.25
# Source: https://systemd.io/TEMPORARY_DIRECTORIES/
_MAYBE_MEMORY = "/tmp"  # noqa: S108 - compared only
_DISK = "/var/tmp"  # noqa: S108 - its files have no names


class ReorderBudget:
    """What rows that wait may take together, over the shards of one worker. Thread-safe."""

    def __init__(self, max_bytes: int, *, workers: int = 1) -> None:
        """Start with nothing taken.

        Args:
            max_bytes: payload to hold in memory; more is spilled to files.
            workers: processes that spill to the same disk.
        """
        self.spilled_bytes = 0
        """Length of the files of spilled payloads."""
        self._max_bytes = max_bytes
        self._max_spilled_bytes: float = MAX_SPILLED_BYTES
        self._workers = workers
        self._bytes = 0
        self._lock = Lock()  # a shard is written by the thread that commits it, too

    @property
    def has_disk(self) -> bool:
        """Whether the disk has room for rows of further shards."""
        return self.spilled_bytes < self._max_spilled_bytes

    def take(self, size: int, *, even_if_full: bool) -> bool:
        """Reserve memory; return whether there was enough."""
        with self._lock:
            if self._bytes + size > self._max_bytes and not even_if_full:
                return False
            self._bytes += size
            return True

    def give_back(self, size: int) -> None:
        """Return memory."""
        with self._lock:
            self._bytes -= size

    def look_at_disk(self, folder: str | Path) -> None:
        """Take what is free on the disk of spilled payloads into account."""
        free = shutil.disk_usage(folder).free + self.spilled_bytes
        self._max_spilled_bytes = min(MAX_SPILLED_BYTES, free * SPILLED_SHARE / self._workers)

    def add_spilled(self, size: int) -> None:
        """Count a change of the length of a file."""
        with self._lock:
            self.spilled_bytes += size


class ReorderBuffer:
    """Takes the rows of one shard, each index from 0 once, and returns them in row order.

    A context manager that closes itself.
    """

    def __init__(self, budget: ReorderBudget, spill_folder: str | Path | None = None) -> None:
        """Create an empty buffer.

        Args:
            budget: payload to hold in memory, shared with other buffers; more is spilled to a file.
            spill_folder: folder of that file, which is created when needed; None is the system's.
        """
        self._budget = budget
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
            if self._budget.take(size, even_if_full=index == self._next):
                self._bytes += size
            else:
                self._spilled[index] = (self._spill(row.payload), size)
                row.payload = None
        self._rows[index] = row

    def ready(self) -> Iterator[Row]:
        """Yield and forget the rows that are next in row order."""
        while (row := self._rows.pop(self._next, None)) is not None:
            if place := self._spilled.pop(self._next, None):
                row.payload = self._unspill(*place)
            elif row.payload is not None:
                self._give_back(len(row.payload))
            self._next += 1
            yield row

    def close(self) -> None:
        """Forget all rows and free the file. Idempotent."""
        self._rows.clear()
        self._spilled.clear()
        self._give_back(self._bytes)
        if self._file is not None:
            self._file.close()
            self._file = None
            self._set_file_bytes(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _spill(self, payload: bytes) -> int:
        """Append to the file; return the offset."""
        try:
            if self._file is None:
                folder = self._spill_folder or tempfile.gettempdir()
                # The file lives as long as the buffer.
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
                self._budget.look_at_disk(folder)
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
        offset = self._file_bytes
        self._set_file_bytes(offset + len(payload))
        return offset

    def _unspill(self, offset: int, length: int) -> bytes:
        if self._file is None:
            raise ShardError("the reorder buffer is closed")
        self._file.seek(offset)
        payload = self._file.read(length)
        if not self._spilled:
            self._file.truncate(0)
            self._set_file_bytes(0)
        return payload

    def _give_back(self, size: int) -> None:
        self._bytes -= size
        self._budget.give_back(size)

    def _set_file_bytes(self, size: int) -> None:
        self._budget.add_spilled(size - self._file_bytes)
        self._file_bytes = size


def spill_folder(output: str) -> str:
    """Return the folder for the files of a shard set: beside a local output, which is large enough.

    For a remote output that is the system's folder for temporary files, but not `/tmp`, which may
    be in memory, where there is `/var/tmp`, which is on a disk.
    """
    if Path(output).is_dir():
        return output
    folder = tempfile.gettempdir()
    return _DISK if folder == _MAYBE_MEMORY and os.access(_DISK, os.W_OK) else folder
