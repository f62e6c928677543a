"""Read-only streams over another file, such as a member of an archive."""

import io
from typing import Any, BinaryIO

from dataset_assets.storage.positioned import Positioned


class SeekableStream(Positioned):
    """A stream over a file, which forgets its buffers when this one does."""

    def __init__(self, source: BinaryIO, name: str, size: int | None) -> None:
        self.name = name
        self._source, self._size = source, size  # size None: found out by reading

    def size(self) -> int:
        """See `Positioned`. It is asked for by `forget_buffers`: let the source forget its buffers, too."""
        if self._size is None:
            raise io.UnsupportedOperation(f"{self.name}: the size is not known before all is read")
        self._source.seek(0, io.SEEK_END)
        return self._size

    def readinto(self, buffer: Any) -> int:
        """See `Positioned`."""
        return (
            0
            if self._size is not None and self._position >= self._size
            else super().readinto(buffer)
        )


def forget_buffers(file: BinaryIO) -> None:
    """Make the next read of a buffered file ask its source again: what is buffered may have been damaged on its way."""
    file.seek(
        0, io.SEEK_END
    )  # of all seeks, the one that io.BufferedReader never answers from its buffer


class Window(SeekableStream):
    """Some bytes of a file as a file."""

    def __init__(self, source: BinaryIO, name: str, offset: int, size: int) -> None:
        super().__init__(source, name, size)
        self._offset, self._end = offset, size

    def read_at(self, position: int, length: int) -> bytes:
        """See `SeekableStream`. Ends early where the source does."""
        self._source.seek(self._offset + position)
        return self._source.read(min(length, self._end - position))
