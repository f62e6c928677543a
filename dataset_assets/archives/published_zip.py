"""Reads zips that others published, front to back; each member is checked against its CRC-32.

A member that fails its check is read again once, from its source and not from a buffer: a bit may
flip on a long way, and the checksum of a connection is short.
"""

import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, TypeVar

from dataset_assets.archives.published import MIB, ArchiveLimits, refusal
from dataset_assets.archives.seekable import UnpackedStream, drop_buffers
from dataset_assets.archives.zip_directory import DEFLATED, LOCAL, STORED, Entry, read_directory
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.records.staged import ArchiveMember

_CHUNK = MIB // 4
_T = TypeVar("_T")


class _Damaged(Exception):
    """The bytes of a member differ from its entry in the directory."""


class ZipArchive:
    """An `Archive` over a zip."""

    kind = "zip"

    def __init__(self, file: BinaryIO, name: str, limits: ArchiveLimits) -> None:
        self.name = name
        self._file = file
        self._limits = limits
        try:
            entries, self.digest = read_directory(file, name, limits)
        except ArchiveCorrupt:
            drop_buffers(file)
            entries, self.digest = read_directory(file, name, limits)
        self._entries = {entry.offset: entry for entry in entries}
        self._members = tuple(
            ArchiveMember(entry.name, entry.unpacked, entry.offset, entry.crc32)
            for entry in entries
        )

    def members(self) -> Sequence[ArchiveMember]:
        """Return the files, in the order of their bytes."""
        return self._members

    def walk(
        self, start: int = 0, wanted: Callable[[str], bool] = bool
    ) -> Iterator[tuple[ArchiveMember, bytes]]:
        """Read the wanted members; those that are skipped are not read."""
        chosen = (member for member in self._members if wanted(member.name))
        for member in islice(chosen, start, None):
            yield member, self.read(member)

    def read(self, member: ArchiveMember) -> bytes:
        """Read a member and check its CRC-32."""
        entry = self._entries[member.offset]
        if max(entry.packed, entry.unpacked) > self._limits.max_member_bytes:
            limit = self._limits.max_member_bytes
            raise self._refusal(entry, f"{entry.unpacked:,} bytes, expected at most {limit:,}")
        return self._with_retry(entry, self._read)

    def open(self, member: ArchiveMember) -> BinaryIO:
        """Open a member as a stream; its CRC-32 is checked when all of it is read in order."""
        entry = self._entries[member.offset]
        begin = self._with_retry(entry, self._seek_data)
        stream = _MemberStream(self._file, entry, begin, self._refusal)
        return io.BufferedReader(stream, _CHUNK)

    def _refusal(self, entry: Entry, why: str) -> ArchiveCorrupt:
        return refusal(self.name, entry.name, entry.offset, why)

    def _seek_data(self, entry: Entry) -> int:
        """Seek to the data of a member; return its offset."""
        self._file.seek(entry.offset)
        head = self._file.read(LOCAL.size)
        if len(head) < LOCAL.size or head[:4] != b"PK\3\4":
            raise _Damaged("its header is damaged")
        _, _, _, method, _, _, _, _, _, n_name, n_extra = LOCAL.unpack(head)
        rest = self._file.read(n_name + n_extra)
        begin = entry.offset + LOCAL.size + n_name + n_extra
        if (
            method != entry.method
            or rest[:n_name] != entry.raw_name
            or begin + entry.packed > entry.end
        ):
            raise _Damaged("its header and the directory contradict each other")
        return int(begin)

    def _read(self, entry: Entry) -> bytes:
        self._seek_data(entry)
        data = self._file.read(entry.packed)
        if entry.method == DEFLATED:
            data = _inflate(data, entry.unpacked)
        if len(data) != entry.unpacked:
            raise _Damaged(f"{len(data):,} bytes, expected {entry.unpacked:,}")
        if (found := zlib.crc32(data)) != entry.crc32:
            raise _Damaged(f"CRC-32 {found:08x}, expected {entry.crc32:08x}")
        return data

    def _with_retry(self, entry: Entry, action: Callable[[Entry], _T]) -> _T:
        try:
            return action(entry)
        except _Damaged:
            drop_buffers(self._file)
        try:
            return action(entry)
        except _Damaged as exc:
            raise self._refusal(entry, f"{exc}, also when read again") from exc


def _inflate(data: bytes, size: int) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = inflate.decompress(data, size + 1)
    except zlib.error as exc:
        raise _Damaged(f"not deflated: {exc}") from exc
    if not inflate.eof and len(unpacked) <= size:
        raise _Damaged("its data is cut")
    return unpacked


class _MemberStream(UnpackedStream):
    """One member, unpacked as it is read; a stored member is a window of the zip."""

    def __init__(
        self,
        file: BinaryIO,
        entry: Entry,
        begin: int,
        refuse: Callable[[Entry, str], ArchiveCorrupt],
    ) -> None:
        super().__init__(file, entry.name, entry.unpacked)
        self._entry = entry
        self._begin = begin
        self._refuse = refuse

    def _rewind(self) -> None:
        self._consumed = 0  # packed bytes
        self._crc32: int | None = 0  # of what was unpacked; None where some was skipped
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def read_at(self, position: int, length: int) -> bytes:
        """Return some bytes of the member from a position on.

        Raises:
            ArchiveCorrupt: the data is damaged.
        """
        if self._entry.method == STORED and self._produced != position:
            self._produced = position
            self._crc32 = None if position else 0
        return super().read_at(position, length)

    def _next(self, length: int) -> bytes:
        data = self._stored(length) if self._entry.method == STORED else self._inflated(length)
        self._produced += len(data)
        if self._crc32 is not None:
            self._crc32 = zlib.crc32(data, self._crc32)
        is_complete = self._produced == self._entry.unpacked
        differs = is_complete and self._crc32 not in (self._entry.crc32, None)
        if differs or self._produced > self._entry.unpacked:
            raise self._refuse(
                self._entry, f"its data does not have the CRC-32 {self._entry.crc32:08x}"
            )
        return data

    def _stored(self, length: int) -> bytes:
        if data := self._read_packed(self._produced, length):
            return data
        raise self._refuse(self._entry, "the file ends within it")

    def _inflated(self, length: int) -> bytes:
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail
            if not data:
                data = self._read_packed(self._consumed, _CHUNK)
                self._consumed += len(data)
            try:
                unpacked = self._inflate.decompress(data, length)
            except zlib.error as exc:
                raise self._refuse(self._entry, f"not deflated: {exc}") from exc
            if unpacked:
                return unpacked
            if not data:
                break
        raise self._refuse(
            self._entry, f"{self._produced:,} bytes, expected {self._entry.unpacked:,}"
        )

    def _read_packed(self, at: int, length: int) -> bytes:
        """Read packed bytes of the member."""
        self._source.seek(self._begin + at)
        return self._source.read(min(length, self._entry.packed - at))
