"""The md5 of an archive whose bytes are read anyway, without reading it twice."""

import hashlib
import io
from collections import deque
from typing import BinaryIO

from dataset_assets.archives.archive import MIB
from dataset_assets.archives.seekable import SeekableStream

_CHUNK = MIB // 16
_MAX_GAP = MIB  # passed over going forward: read after all
_MAX_TAIL = 64 * MIB  # not read at the end, such as the directory of a zip, which is read first
_KEPT = 64  # states to go back to when damaged bytes are read again, at least _MAX_GAP apart


class HashedFile(io.BufferedReader):
    """A file that takes the md5 of what is read from it, if that is everything from its begin on. Closes the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._hashing = _Hashing(file)
        super().__init__(self._hashing, _CHUNK)

    def md5(self) -> str | None:
        """Return the md5 (hex) of the whole file; None when a part of it was not read. What is missing at the end is read now."""
        return self._hashing.md5()


class _Hashing(SeekableStream):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, str(getattr(file, "name", "file")), file.seek(0, io.SEEK_END))
        self._bytes = self._size or 0
        self._digest, self._hashed = (
            hashlib.md5(usedforsecurity=False),
            0,
        )  # of the first so many bytes
        self._states = deque([(0, self._digest.copy())], maxlen=_KEPT)

    def read_at(self, position: int, length: int) -> bytes:
        """See `SeekableStream`."""
        self._go_back(position)
        if 0 < position - self._hashed <= _MAX_GAP:
            self._hash_up_to(position)
        self._source.seek(position)
        data = self._source.read(length)
        if position <= self._hashed < position + len(data):
            self._update(data[self._hashed - position :] if position < self._hashed else data)
        return data

    def md5(self) -> str | None:
        """See `HashedFile`."""
        if self._bytes - self._hashed <= _MAX_TAIL:
            self._hash_up_to(self._bytes)
        return self._digest.hexdigest() if self._hashed == self._bytes else None

    def close(self) -> None:
        """Close the file below, too."""
        super().close()
        self._source.close()

    def _go_back(self, position: int) -> None:
        """Forget bytes that are read again, for they may come otherwise; not those of long ago."""
        if position < self._hashed and self._states[0][0] <= position:
            while self._states[-1][0] > position:
                self._states.pop()
            self._hashed, self._digest = self._states[-1][0], self._states[-1][1].copy()

    def _hash_up_to(self, position: int) -> None:
        self._source.seek(self._hashed)
        while self._hashed < position and (
            data := self._source.read(min(_CHUNK, position - self._hashed))
        ):
            self._update(data)

    def _update(self, data: bytes) -> None:
        self._digest.update(data)
        self._hashed += len(data)
        if self._hashed - self._states[-1][0] >= _MAX_GAP:
            self._states.append((self._hashed, self._digest.copy()))
