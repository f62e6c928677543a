"""The checksum of an archive whose bytes are read anyway, without reading it twice."""

import hashlib
import io
import logging
from collections import deque
from typing import BinaryIO

from dataset_assets.archives.published import MIB
from dataset_assets.archives.seekable import SeekableStream
from dataset_assets.errors import ArchiveCorrupt

logger = logging.getLogger(__name__)

_CHUNK = MIB // 16
_MAX_GAP = MIB
"""A gap of at most this size, passed over going forward, is read for the hash."""
_MAX_UNREAD = 64 * MIB
"""Bytes at the end that are read for the hash, such as the directory of a zip."""
_STATES = 64
"""Hash states to return to when damaged bytes are read again, at least `_MAX_GAP` apart."""


class HashedFile(io.BufferedReader):
    """A file that hashes what is read from it, if that is everything from the start on.

    Closes the file below when it is closed.
    """

    def __init__(self, file: BinaryIO, algorithm: str = "md5") -> None:
        self._hashing = _Hashing(file, algorithm)
        super().__init__(self._hashing, _CHUNK)

    def hexdigest(self, max_unread: int = _MAX_UNREAD) -> str | None:
        """Return the hash of the whole file; None when a part of it was not read.

        Up to `max_unread` bytes that are missing at the end are read now.
        """
        return self._hashing.hexdigest(max_unread)


class _Hashing(SeekableStream):
    def __init__(self, file: BinaryIO, algorithm: str) -> None:
        self._bytes = file.seek(0, io.SEEK_END)
        super().__init__(file, str(getattr(file, "name", "file")), self._bytes)
        self._digest = hashlib.new(algorithm, usedforsecurity=False)
        self._hashed = 0  # bytes, from the start on
        self._states = deque([(0, self._digest.copy())], maxlen=_STATES)

    def read_at(self, position: int, length: int) -> bytes:
        """Read from the file below, and hash what continues the hashed part."""
        self._rewind_hash(position)
        if 0 < position - self._hashed <= _MAX_GAP:
            self._hash_up_to(position)
        self._source.seek(position)
        data = self._source.read(length)
        if position <= self._hashed < position + len(data):
            self._update(data[self._hashed - position :] if position < self._hashed else data)
        return data

    def hexdigest(self, max_unread: int) -> str | None:
        """Hash the bytes that are missing at the end, if they are few."""
        if self._bytes - self._hashed <= max_unread:
            self._hash_up_to(self._bytes)
        return self._digest.hexdigest() if self._hashed == self._bytes else None

    def close(self) -> None:
        """Close the file below, too."""
        super().close()
        self._source.close()

    def _rewind_hash(self, position: int) -> None:
        """Forget the hash of bytes that are read again: they may differ this time.

        Bytes before the oldest kept state stay hashed.
        """
        if position < self._hashed and self._states[0][0] <= position:
            while self._states[-1][0] > position:
                self._states.pop()
            self._hashed, state = self._states[-1]
            self._digest = state.copy()

    def _hash_up_to(self, position: int) -> None:
        self._source.seek(self._hashed)
        while self._hashed < position:
            data = self._source.read(min(_CHUNK, position - self._hashed))
            if not data:
                break
            self._update(data)

    def _update(self, data: bytes) -> None:
        self._digest.update(data)
        self._hashed += len(data)
        if self._hashed - self._states[-1][0] >= _MAX_GAP:
            self._states.append((self._hashed, self._digest.copy()))


def check_md5(name: str, file: HashedFile, expected: str | None, *, from_begin: bool) -> None:
    """Compare an archive that was read from start to end with its published md5.

    A run that started in the middle, or needs only some members, has not read all bytes, and does
    not read them for this: the CRC-32 of each member was checked.

    Raises:
        ArchiveCorrupt: the md5 differs.
    """
    if expected is None:
        return
    found = file.hexdigest() if from_begin else None
    if found is None:
        logger.info("%s: only a part was read; checked the members, not the md5", name)
    elif found != expected:
        raise ArchiveCorrupt(
            f"{name}: expected md5 {expected}, got {found}: the download is damaged or not the "
            "published file; stage it again"
        )
