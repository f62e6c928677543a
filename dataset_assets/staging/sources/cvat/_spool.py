"""Records in a temporary file by key: written in any order, read back per key in writing order.

Memory: some bytes for each key.
"""

import struct
import tempfile
from typing import BinaryIO

#: Position of the previous record of the same key (_NONE: there is none), and bytes.
_HEAD = struct.Struct("<qI")
_NONE = -1


class Spool:
    """Records of bytes. The file has no name and disappears with the process."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `close`
        #: Key -> position of its last record, number of its records.
        self._last: dict[int, tuple[int, int]] = {}
        self._end = 0

    def append(self, key: int, data: bytes) -> int:
        """Write a record and return how many its key has."""
        position, count = self._last.get(key, (_NONE, 0))
        self._file.write(_HEAD.pack(position, len(data)))
        self._file.write(data)
        self._last[key] = (self._end, count + 1)
        self._end += _HEAD.size + len(data)
        return count + 1

    def read(self, key: int) -> list[bytes]:
        """Return the records of a key in the order of writing."""
        position, _ = self._last.get(key, (_NONE, 0))
        records = []
        while position != _NONE:
            self._file.seek(position)
            position, size = _HEAD.unpack(self._file.read(_HEAD.size))
            records.append(self._file.read(size))
        return records[::-1]

    def close(self) -> None:
        """Delete the file. Idempotent."""
        self._file.close()
