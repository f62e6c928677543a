"""Reads gzip files: our own, strictly, and published ones.

Python's own reader accepts zeros after the end.
Format: RFC 1952, https://www.rfc-editor.org/rfc/rfc1952
"""

import zlib
from typing import BinaryIO

from dataset_assets.archives.published import ArchiveLimits
from dataset_assets.archives.seekable import UnpackedStream
from dataset_assets.errors import ArchiveCorrupt, ShardCorrupt

_CHUNK = 1 << 18


class GzipReader(UnpackedStream):
    """The unpacked bytes of a gzip file, a buffer at a time; to seek back starts over.

    Wrap it in `io.BufferedReader`.
    """

    def __init__(self, file: BinaryIO, name: str, limits: ArchiveLimits | None = None) -> None:
        """Read a file from its start.

        Args:
            file: the gzip file; any position.
            name: what errors call it.
            limits: of a published file, which may have several gzip members and zeros after
                them. None: one of our own, with one member and nothing else.
        """
        super().__init__(file, name, None)
        self._limits = limits

    def _rewind(self) -> None:
        self._consumed = 0  # packed bytes
        self._pending = b""
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)

    def _next(self, length: int) -> bytes:
        """Unpack some bytes; none only at a sound end.

        Raises:
            ShardCorrupt: a file of our own is cut, altered or followed by other bytes.
            ArchiveCorrupt: a published file is cut, damaged, or unpacks to an absurd size.
        """
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
