"""A gzip file of one member, without name and time, so equal bytes give equal files; and a reader that refuses every other end.

Python's own writer finishes a file when it is garbage collected, also one that was given up, and its reader accepts zeros behind the end.
Format: RFC 1952, https://www.rfc-editor.org/rfc/rfc1952
"""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from dataset_assets.errors import ShardCorrupt
from dataset_assets.storage.store import Buffer, Staged

LEVEL = 6
_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate, no flags, no time, system unknown
_CHUNK = 1 << 17


class Deflating:
    """Compresses what is written to it into a staged object."""

    def __init__(self, staged: Staged) -> None:
        self._staged = staged
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = self._bytes = 0
        staged.write(_HEADER)

    def writev(self, parts: Sequence[Buffer]) -> None:
        """Append several buffers in order."""
        for part in parts:
            self._crc = zlib.crc32(part, self._crc)
            self._bytes += len(part)
            if out := self._deflate.compress(part):
                self._staged.write(out)

    def finish(self) -> None:
        """Append the rest, checksum and length."""
        self._staged.write(
            self._deflate.flush() + struct.pack("<II", self._crc, self._bytes % 2**32)
        )


class Inflating(io.RawIOBase):
    """The bytes of a gzip file, in memory a buffer at a time. Wrap it in `io.BufferedReader`."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file, self._label = file, label
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)

    def readable(self) -> bool:
        """Tell `io.BufferedReader` that this is for reading."""
        return True

    def readinto(self, buffer: Buffer) -> int:  # type: ignore[override]
        """Fill a buffer; 0 only at a sound end.

        Raises:
            ShardCorrupt: the file is cut, altered or followed by other bytes.
        """
        while not self._inflate.eof:
            if data := self._some(len(buffer)):
                buffer[: len(data)] = data  # type: ignore[index]
                return len(data)
        if self._inflate.unused_data or self._file.read(1):
            raise ShardCorrupt(f"{self._label}: other bytes follow the end of the gzip stream")
        return 0

    def _some(self, length: int) -> bytes:
        chunk = self._inflate.unconsumed_tail or self._file.read(_CHUNK)
        if not chunk:
            raise ShardCorrupt(f"{self._label}: the gzip stream is cut")
        try:
            return self._inflate.decompress(chunk, length)
        except zlib.error as exc:
            raise ShardCorrupt(f"{self._label}: not a sound gzip stream: {exc}") from exc
