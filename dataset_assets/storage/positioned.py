"""The base of read-only streams: a position, and seeks that read nothing.

Wrap such a stream in `io.BufferedReader`.
"""

import io
from typing import Any


class Positioned(io.RawIOBase):
    """A stream whose subclass knows its size and how to read from any position."""

    _position = 0

    def size(self) -> int:
        """Return the bytes of the whole stream.

        Raises:
            io.UnsupportedOperation: the size is not known yet.
        """
        raise NotImplementedError

    def read_at(self, position: int, length: int) -> bytes:
        """Return up to `length` bytes from a position on; none only at the end."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Tell `io.BufferedReader` that this is for reading."""
        return True

    def seekable(self) -> bool:
        """Tell `io.BufferedReader` that it may seek."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position; nothing is read before the next read."""
        position = offset
        if whence == io.SEEK_CUR:
            position += self._position
        elif whence == io.SEEK_END:
            position += self.size()
        if position < 0:
            raise ValueError(f"seek: expected a position of 0 or more, got {position}")
        self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        """Read some bytes, as `read_at` does."""
        if self.closed:
            raise ValueError("the file is closed")
        view = memoryview(buffer).cast("B")
        data = self.read_at(self._position, len(view)) if len(view) else b""
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
