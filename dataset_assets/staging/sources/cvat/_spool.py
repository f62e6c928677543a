"""Records in a temporary file, by key: written in any order, read back per key in the order of writing. Memory: some bytes for each key."""

import struct
import tempfile
from typing import BinaryIO

_HEAD = struct.Struct(
    "<qI"
)  # where the record before it of the same key is (-1: nowhere), and bytes


class Spool:
    """Records of bytes. The file has no name and goes away with the process."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `close`
        self._last: dict[
            int, tuple[int, int]
        ] = {}  # key -> place of its last record, how many it has
        self._end = 0

    def append(self, key: int, data: bytes) -> int:
        """Write a record and return how many its key has."""
        place, count = self._last.get(key, (-1, 0))
        self._file.write(_HEAD.pack(place, len(data)))
        self._file.write(data)
        self._last[key] = self._end, count + 1
        self._end += _HEAD.size + len(data)
        return count + 1

    def read(self, key: int) -> list[bytes]:
        """Return the records of a key, the first written first."""
        place, _ = self._last.get(key, (-1, 0))
        records = []
        while place >= 0:
            self._file.seek(place)
            place, size = _HEAD.unpack(self._file.read(_HEAD.size))
            records.append(self._file.read(size))
        return records[::-1]

    def close(self) -> None:
        """Give the file up. Idempotent."""
        self._file.close()
