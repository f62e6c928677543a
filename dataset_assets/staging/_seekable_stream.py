"""The part that all our read-only streams over another file share: a position, and seeks that read nothing."""

import io
from typing import Any, BinaryIO


class SeekableStream(io.RawIOBase):
    """A stream whose subclass knows how to `read_at`. Wrap it in `io.BufferedReader`."""

    def __init__(self, source: BinaryIO, name: str, size: int | None) -> None:
        self.name = name
        self._source, self._size, self._position = source, size, 0  # size None: found out by reading

    def read_at(self, position: int, length: int) -> bytes:
        """Return up to `length` bytes from a position on; none only at the end."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Tell `io.BufferedReader` that this is for reading."""
        return True

    def seekable(self) -> bool:
        """Tell that any byte can be next."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move. From the end, as `forget_buffers` does: let the source forget its buffers, too."""
        if whence == io.SEEK_END:
            if self._size is None:
                raise io.UnsupportedOperation(f"{self.name}: the size is not known before all is read")
            self._source.seek(0, io.SEEK_END)
        self._position = max(0, offset + (0, self._position, self._size or 0)[whence])
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read some bytes, as `read_at` does."""
        if not len(buffer) or (self._size is not None and self._position >= self._size):
            return 0
        data = self.read_at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def forget_buffers(file: BinaryIO) -> None:
    """Make the next read of a buffered file ask its source again: what is buffered may have been damaged on its way."""
    file.seek(0, io.SEEK_END)  # of all seeks, the one that io.BufferedReader never answers from its buffer


class Window(SeekableStream):
    """Some bytes of a file as a file."""

    def __init__(self, source: BinaryIO, name: str, offset: int, size: int) -> None:
        super().__init__(source, name, size)
        self._offset, self._end = offset, size

    def read_at(self, position: int, length: int) -> bytes:
        """See `SeekableStream`. Ends early where the source does."""
        self._source.seek(self._offset + position)
        return self._source.read(min(length, self._end - position))
