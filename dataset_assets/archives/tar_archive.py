"""Members of a tar or tar.gz in the order in which they lie there. A plain tar is sought through; of a packed one everything is unpacked and most dropped."""

import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from dataset_assets.archives.archive import MIB, ArchiveLimits, check_name, refused
from dataset_assets.archives.seekable import SeekableStream, Window, forget_buffers
from dataset_assets.archives.tar_headers import BLOCK, Damaged, Header, read_header
from dataset_assets.errors import ArchiveCorrupt, SourceError
from dataset_assets.records.staged import ArchiveMember

_CHUNK = MIB // 4
_MAX_PADDING = 64 * MIB  # zeros after the end


class TarArchive:
    """See `_archive_base.Archive`. A tar.gz has checksums, which are looked at when its end is reached; a tar has none."""

    def __init__(
        self, file: BinaryIO, name: str, limits: ArchiveLimits, *, packed: bool, digest: str
    ) -> None:
        self.name, self.kind, self.digest, self._limits = (
            name,
            "tar.gz" if packed else "tar",
            digest,
            limits,
        )
        self._file: BinaryIO = (
            io.BufferedReader(_Inflated(file, name, limits), _CHUNK) if packed else file
        )

    def members(self) -> Sequence[ArchiveMember]:
        """See `_archive_base.Archive`."""
        raise SourceError(
            f"{self.name}: a tar has no directory; walk through it, or pack it as a zip"
        )

    def walk(
        self, start: int = 0, wanted: Callable[[str], bool] = bool
    ) -> Iterator[tuple[ArchiveMember, bytes]]:
        """See `_archive_base.Archive`. In a plain tar, the data of those that are skipped is sought over."""
        names, offset = set[int](), 0
        while header := self._header(offset):
            offset = header.end
            if not header.is_file or not wanted(header.name):
                continue
            if (
                hash(header.name) in names
            ):  # the names of a million members would take several times the memory
                raise refused(
                    self.name, repr(header.name), header.offset, "another member has this name"
                )
            names.add(hash(header.name))
            if start > 0:
                start -= 1
            else:
                yield ArchiveMember(header.name, header.bytes, header.offset), self._data(header)
        self._check_end(offset + BLOCK)

    def read(self, member: ArchiveMember) -> bytes:
        """See `_archive_base.Archive`. In a tar.gz, all before it is unpacked."""
        return self._data(self._find(member))

    def open(self, member: ArchiveMember) -> BinaryIO:
        """See `_archive_base.Archive`."""
        header = self._find(member)
        return io.BufferedReader(Window(self._file, header.name, header.data, header.bytes), _CHUNK)

    def _find(self, member: ArchiveMember) -> Header:
        header = self._header(member.offset)
        if header is None or (header.name, header.bytes) != (member.name, member.bytes):
            raise refused(self.name, repr(member.name), member.offset, "it is not there")
        return header

    def _header(self, offset: int) -> Header | None:
        if self.kind == "tar":
            try:
                return self._header_once(offset)
            except Damaged:
                forget_buffers(self._file)
        try:
            return self._header_once(offset)
        except Damaged as exc:
            raise ArchiveCorrupt(
                f"{self.name}: at byte {offset:,}: {exc}; get the archive anew from its publisher"
            ) from exc

    def _header_once(self, offset: int) -> Header | None:
        self._file.seek(offset)
        header = read_header(self._file.read, offset)
        if header is not None and (header.is_file or header.name):
            check_name(self.name, header.name, offset)
        return header

    def _data(self, header: Header) -> bytes:
        if header.bytes > self._limits.max_member_bytes:
            why = f"{header.bytes:,} bytes, expected at most {self._limits.max_member_bytes:,}"
            raise refused(self.name, repr(header.name), header.offset, why)
        self._file.seek(header.data)
        data = self._file.read(header.bytes)
        if len(data) != header.bytes:
            raise refused(self.name, repr(header.name), header.offset, "the file ends within it")
        return data

    def _check_end(self, offset: int) -> None:
        """Read the zeros after the last member, and with them the checksum of a tar.gz."""
        self._file.seek(offset)
        read = 0
        while data := self._file.read(_CHUNK):
            read += len(data)
            if any(data) or read > _MAX_PADDING:
                raise ArchiveCorrupt(
                    f"{self.name}: other bytes follow the end of the tar at byte {offset:,}; unpack it and pack it anew"
                )


class _Inflated(SeekableStream):
    """What is in a gzip file, also one of several gzip members. To go back is to begin again."""

    def __init__(self, file: BinaryIO, name: str, limits: ArchiveLimits) -> None:
        super().__init__(file, name, None)
        self._limits = limits
        self._rewind()

    def read_at(self, position: int, length: int) -> bytes:
        """See `SeekableStream`.

        Raises:
            ArchiveCorrupt: the file is cut, damaged, or unpacks to an absurd size.
        """
        if position < self._at:
            self._rewind()
        while self._at < position:
            if not self._next(min(_CHUNK, position - self._at)):
                return b""
        return self._next(length)

    def _rewind(self) -> None:
        self._taken = self._at = 0  # packed bytes, unpacked bytes
        self._pending = b""
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)

    def _next(self, length: int) -> bytes:
        while data := self._pending or self._more():
            self._pending = b""
            if self._inflate.eof:
                data = data.lstrip(b"\0")
                if not data:
                    continue
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)
            if unpacked := self._unpack(data, length):
                return unpacked
        if not self._inflate.eof:
            raise self._corrupt("the file is cut")
        return b""

    def _unpack(self, data: bytes, length: int) -> bytes:
        try:
            unpacked = self._inflate.decompress(data, length)
        except zlib.error as exc:
            raise self._corrupt(f"not a sound gzip file: {exc}") from exc
        self._pending = (
            self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        )
        self._at += len(unpacked)
        if self._limits.is_bomb(self._taken, self._at):
            raise self._corrupt(f"{self._taken:,} bytes that unpack to {self._at:,}")
        return unpacked

    def _more(self) -> bytes:
        self._source.seek(self._taken)
        data = self._source.read(_CHUNK)
        self._taken += len(data)
        return data

    def _corrupt(self, why: str) -> ArchiveCorrupt:
        return ArchiveCorrupt(
            f"{self.name}: before byte {self._taken:,}: {why}; get the archive anew from its publisher"
        )
