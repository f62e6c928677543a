"""Read-only streams over another file, such as a member of an archive."""

import io
from typing import Any, BinaryIO

from dataset_assets.storage.positioned import Positioned

_CHUNK = 1 << 18


class SeekableStream(Positioned):
    """A stream over a file, which drops its buffers when this one does."""

    def __init__(self, source: BinaryIO, name: str, size: int | None) -> None:
        """Read from `source`; a size of None is not known before all is read."""
        self.name = name
        self._source = source
        self._size = size

    def size(self) -> int:
        """Return the bytes of the stream, and make the source drop its buffers, too.

        `drop_buffers` ends here, for it seeks to the end of the stream.

        Raises:
            io.UnsupportedOperation: the size is not known yet.
        """
        if self._size is None:
            raise io.UnsupportedOperation(f"{self.name}: the size is not known before all is read")
        self._source.seek(0, io.SEEK_END)
        return self._size

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; none at the end."""
        if self._size is not None and self._position >= self._size:
            return 0
        return super().readinto(buffer)


def drop_buffers(file: BinaryIO) -> None:
    """Make the next read of a buffered file ask its source again: the buffer may be damaged.

    Of all seeks, the one to the end is never answered from the buffer of an `io.BufferedReader`.
    """
    file.seek(0, io.SEEK_END)


class UnpackedStream(SeekableStream):
    """A stream that is unpacked in order; to seek back starts over."""

    def __init__(self, source: BinaryIO, name: str, size: int | None) -> None:
        super().__init__(source, name, size)
        self._produced = 0  # unpacked bytes
        self._rewind()

    def _rewind(self) -> None:
        """Start over, at byte 0."""
        raise NotImplementedError

    def _next(self, length: int) -> bytes:
        """Unpack up to `length` bytes and count them in `_produced`; none only at the end.

        Bytes that are refused count too, so that reading them again starts over.
        """
        raise NotImplementedError

    def read_at(self, position: int, length: int) -> bytes:
        """Unpack and drop the bytes before a position, then return some; none only at the end."""
        if position < self._produced:
            self._produced = 0
            self._rewind()
        while self._produced < position:
            if not self._next(min(_CHUNK, position - self._produced)):
                return b""
        return self._next(length)


class Window(SeekableStream):
    """Some bytes of a file as a file."""

    def __init__(self, source: BinaryIO, name: str, offset: int, size: int) -> None:
        super().__init__(source, name, size)
        self._offset = offset
        self._end = size

    def read_at(self, position: int, length: int) -> bytes:
        """Read from the file below; ends early where that does."""
        self._source.seek(self._offset + position)
        return self._source.read(min(length, self._end - position))
