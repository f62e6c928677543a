"""Gzip files: a reproducible writer, and one reader for our own files and for published ones.

The writer makes one gzip member without name and time, so equal bytes give equal files. Python's
own writer finishes a file when it is garbage collected, also one that was given up, and its reader
accepts zeros behind the end.
Format: RFC 1952, https://www.rfc-editor.org/rfc/rfc1952
"""

import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from dataset_assets.archives.published import ArchiveLimits
from dataset_assets.archives.seekable import SeekableStream
from dataset_assets.errors import ArchiveCorrupt, ShardCorrupt
from dataset_assets.storage.store import Buffer, Staged

LEVEL = 6
_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate, no flags, no time, system unknown
_CHUNK = 1 << 18


class GzipWriter:
    """Compresses what is written to it into a staged object."""

    def __init__(self, staged: Staged) -> None:
        self._staged = staged
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = 0
        self._bytes = 0
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


class GzipReader(SeekableStream):
    """The unpacked bytes of a gzip file, a buffer at a time; to seek back starts over.

    Wrap it in `io.BufferedReader`.
    """

    def __init__(self, file: BinaryIO, name: str, limits: ArchiveLimits | None = None) -> None:
        """Read a file from its start.

        Args:
            file: the gzip file; any position.
            name: what errors call it.
            limits: of a published file, which may have several gzip members and zeros behind
                them. None: one of our own, with one member and nothing else.
        """
        super().__init__(file, name, None)
        self._limits = limits
        self._rewind()

    def read_at(self, position: int, length: int) -> bytes:
        """Return some unpacked bytes from a position on; none only at a sound end.

        Raises:
            ShardCorrupt: a file of our own is cut, altered or followed by other bytes.
            ArchiveCorrupt: a published file is cut, damaged, or unpacks to an absurd size.
        """
        if position < self._produced:
            self._rewind()
        while self._produced < position:
            if not self._next(min(_CHUNK, position - self._produced)):
                return b""
        return self._next(length)

    def _rewind(self) -> None:
        self._consumed = 0  # packed bytes
        self._produced = 0  # unpacked bytes
        self._pending = b""
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)

    def _next(self, length: int) -> bytes:
        while data := self._pending or self._more():
            self._pending = b""
            if self._inflate.eof:
                data = self._next_member(data)
            if data and (unpacked := self._unpack(data, length)):
                return unpacked
        if not self._inflate.eof:
            raise self._corrupt("the file is cut")
        return b""

    def _next_member(self, data: bytes) -> bytes:
        """Return where the next gzip member starts, without the padding before it."""
        if self._limits is None:
            raise self._corrupt("other bytes follow the end of the gzip stream")
        data = data.lstrip(b"\0")
        if data:
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)
        return data

    def _unpack(self, data: bytes, length: int) -> bytes:
        try:
            unpacked = self._inflate.decompress(data, length)
        except zlib.error as exc:
            raise self._corrupt(f"not a valid gzip file: {exc}") from exc
        self._pending = self._inflate.unused_data or self._inflate.unconsumed_tail
        self._produced += len(unpacked)
        if self._limits is not None and self._limits.is_bomb(self._consumed, self._produced):
            raise self._corrupt(f"{self._consumed:,} bytes that unpack to {self._produced:,}")
        return unpacked

    def _more(self) -> bytes:
        self._source.seek(self._consumed)
        data = self._source.read(_CHUNK)
        self._consumed += len(data)
        return data

    def _corrupt(self, why: str) -> ArchiveCorrupt | ShardCorrupt:
        where = f"{self.name}: before byte {self._consumed:,}: {why}"
        if self._limits is None:
            return ShardCorrupt(where)
        return ArchiveCorrupt(f"{where}; download the archive again")
