"""Reads tars and tar.gz that others published, in the order of their members.

A plain tar is sought through; a packed one is unpacked as a whole and most of it dropped.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from dataset_assets.archives.gzip_reader import GzipReader
from dataset_assets.archives.published import MIB, ArchiveLimits, check_name, refusal
from dataset_assets.archives.published_tar_header import Header, read_header
from dataset_assets.archives.seekable import Window, drop_buffers
from dataset_assets.archives.tar_header import BLOCK, Damaged
from dataset_assets.archives.tar_reader import TarEntry
from dataset_assets.errors import ArchiveCorrupt, SourceError
from dataset_assets.records.staged import ArchiveMember

_CHUNK = MIB // 4
_MAX_PADDING = 64 * MIB
"""Zeros after the end of the archive, in bytes."""


class TarArchive:
    """An `Archive` over a tar or tar.gz.

    A tar.gz has a checksum, which is compared when its end is reached; a tar has none.
    """

    def __init__(
        self, file: BinaryIO, name: str, limits: ArchiveLimits, *, is_packed: bool, digest: str
    ) -> None:
        self.name = name
        self.kind = "tar.gz" if is_packed else "tar"
        self.digest = digest
        self._limits = limits
        self._file = file
        if is_packed:
            self._file = io.BufferedReader(GzipReader(file, name, limits), _CHUNK)

    def members(self) -> Sequence[ArchiveMember]:
        """Refuse to list members.

        Raises:
            SourceError: always.
        """
        raise SourceError(
            f"{self.name}: expected a zip, got a tar, which has no directory; pack it as a zip"
        )

    def walk(
        self, start: int = 0, wanted: Callable[[str], bool] = bool
    ) -> Iterator[tuple[ArchiveMember, bytes]]:
        """Read the wanted members; in a plain tar, skipped data is sought over."""
        # hashes: the names of a million members would take several times the memory
        names = set[int]()
        offset = 0
        while header := self._header(offset):
            offset = header.end
            if not header.is_file or not wanted(header.name):
                continue
            if hash(header.name) in names:
                raise refusal(self.name, header.name, header.offset, "another member has this name")
            names.add(hash(header.name))
            if start > 0:
                start -= 1
            else:
                yield ArchiveMember(header.name, header.bytes, header.offset), self._data(header)
        self._check_end(offset + BLOCK)

    def entries(self) -> Iterator[TarEntry]:
        """Yield where the data of the members is; in a plain tar, no data is read.

        Members may be read between two entries. The file can be used elsewhere meanwhile.
        """
        offset = 0
        while header := self._header(offset):
            offset = header.end
            if header.is_file:
                yield TarEntry(header.name, header.data, header.bytes)
        self._check_end(offset + BLOCK)

    def read(self, member: ArchiveMember) -> bytes:
        """Read a member; in a tar.gz, all before it is unpacked."""
        return self._data(self._find(member))

    def open(self, member: ArchiveMember) -> BinaryIO:
        """Open a member of any size as a stream."""
        header = self._find(member)
        return io.BufferedReader(Window(self._file, header.name, header.data, header.bytes), _CHUNK)

    def _find(self, member: ArchiveMember) -> Header:
        header = self._header(member.offset)
        if header is None or (header.name, header.bytes) != (member.name, member.bytes):
            raise refusal(self.name, member.name, member.offset, "it is not there")
        return header

    def _header(self, offset: int) -> Header | None:
        """Read a header; in a plain tar, a damaged one is read again from the source."""
        if self.kind == "tar":
            try:
                return self._header_once(offset)
            except Damaged:
                drop_buffers(self._file)
        try:
            return self._header_once(offset)
        except Damaged as exc:
            raise ArchiveCorrupt(
                f"{self.name}: at byte {offset:,}: {exc}; download the archive again"
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
            raise refusal(self.name, header.name, header.offset, why)
        self._file.seek(header.data)
        data = self._file.read(header.bytes)
        if len(data) != header.bytes:
            raise refusal(self.name, header.name, header.offset, "the file ends within it")
        return data

    def _check_end(self, offset: int) -> None:
        """Read the zeros after the last member, and with them the checksum of a tar.gz."""
        self._file.seek(offset)
        read = 0
        while data := self._file.read(_CHUNK):
            read += len(data)
            if any(data) or read > _MAX_PADDING:
                raise ArchiveCorrupt(
                    f"{self.name}: other bytes follow the end of the tar at byte {offset:,}; "
                    "unpack it and pack it again"
                )
