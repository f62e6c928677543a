"""The central directory of a zip: where each member is, checked so that no two share bytes and none is what it should not be.

Only the end of the file is read. Python's `zipfile` of some supported versions does not look for overlaps (CVE-2024-0450), and it passes over bytes that
are missing before the directory. Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import hashlib
import io
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from dataset_assets.archives.archive import ArchiveLimits, check_name, refused
from dataset_assets.errors import ArchiveCorrupt

STORED, DEFLATED = 0, 8
LOCAL = struct.Struct(
    "<4s5H3I2H"
)  # signature, version, flags, method, time, date, crc, packed, unpacked, name length, extra length
_ENTRY = struct.Struct("<4s2B5H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_TAIL = _END.size + 0xFFFF + _LOCATOR.size + _END64.size  # bytes that hold all but the directory
_UNIX = 3
_UTF8 = 0x800
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_ZIP64 = 1  # id of the extra field
_ALL16, _ALL32 = 0xFFFF, 0xFFFFFFFF


class Entry(NamedTuple):
    """One file in the directory."""

    name: str
    raw_name: bytes
    method: int
    crc32: int
    packed: int  # bytes
    unpacked: int  # bytes
    offset: int  # of its local header
    end: int  # its bytes end here at the latest


@dataclass(frozen=True, slots=True)
class Directory:
    """All files, in the order of their bytes."""

    entries: list[Entry]
    digest: str


@dataclass(frozen=True, slots=True)
class _Place:
    count: int
    size: int
    offset: int


def read_directory(file: BinaryIO, name: str, limits: ArchiveLimits) -> Directory:
    """Read and check the directory.

    Raises:
        ArchiveCorrupt: the archive is cut, damaged, or has members that are refused.
    """
    size = file.seek(0, io.SEEK_END)
    start = max(0, size - _TAIL)
    file.seek(start)
    tail = file.read(size - start)
    place = _find(tail, start, name)
    if place.size > limits.max_directory_bytes:
        raise ArchiveCorrupt(
            f"{name}: a directory of {place.size:,} bytes, expected at most {limits.max_directory_bytes:,}"
        )
    if place.offset >= start:
        data = tail[place.offset - start :][: place.size]
    else:
        file.seek(place.offset)
        data = file.read(place.size)
    entries = sorted(_entries(data, place, name, limits), key=lambda entry: entry.offset)
    return Directory(_without_overlaps(entries, place, name), hashlib.sha256(data).hexdigest())


def _find(tail: bytes, start: int, name: str) -> _Place:
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveCorrupt(
            f"{name}: the directory at the end of the zip is missing: the file is cut; get it anew"
        )
    _, disk, first_disk, _, count, size, offset, _ = _END.unpack_from(tail, at)
    end = at
    if tail[max(0, at - _LOCATOR.size) : at][:4] == b"PK\6\7":
        _, disk, at64, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
        end = at64 - start
        if not 0 <= end <= at - _LOCATOR.size - _END64.size or tail[end : end + 4] != b"PK\6\6":
            raise _moved(name)
        _, _, _, _, disk, first_disk, _, count, size, offset = _END64.unpack_from(tail, end)
    if disk or first_disk:
        raise ArchiveCorrupt(f"{name}: one part of a zip that was split; join the parts first")
    if offset + size != start + end:
        raise _moved(name)
    return _Place(count, size, offset)


def _moved(name: str) -> ArchiveCorrupt:
    return ArchiveCorrupt(
        f"{name}: bytes are missing from the middle of the zip, or were put before it: its directory is not where it should be; get it anew"
    )


def _entries(data: bytes, place: _Place, name: str, limits: ArchiveLimits) -> Iterator[Entry]:
    """Yield the files; folders are passed over."""
    at, found, names = 0, 0, set[str]()
    while at < len(data):
        try:
            entry, at = _entry(data, at, name)
        except (struct.error, UnicodeDecodeError) as exc:
            raise ArchiveCorrupt(
                f"{name}: entry {found:,} of the directory is damaged; get the zip anew"
            ) from exc
        found += 1
        if entry.name.endswith("/"):
            check_name(name, entry.name[:-1], entry.offset)
            continue
        if entry.name in names:
            raise refused(name, repr(entry.name), entry.offset, "another member has this name")
        names.add(check_name(name, entry.name, entry.offset))
        if limits.is_bomb(entry.packed, entry.unpacked):
            raise refused(
                name,
                repr(entry.name),
                entry.offset,
                f"{entry.packed:,} bytes that unpack to {entry.unpacked:,}",
            )
        yield entry
    if found != place.count or at != place.size:
        raise ArchiveCorrupt(
            f"{name}: {found:,} members in the directory, {place.count:,} expected; get the zip anew"
        )


def _entry(data: bytes, at: int, archive: str) -> tuple[Entry, int]:
    (
        signature,
        _,
        system,
        _,
        flags,
        method,
        _,
        _,
        crc32,
        packed,
        unpacked,
        n_name,
        n_extra,
        n_comment,
        _,
        _,
        attributes,
        offset,
    ) = _ENTRY.unpack_from(data, at)
    begin = at + _ENTRY.size
    raw_name = data[begin : begin + n_name]
    end = begin + n_name + n_extra + n_comment
    if signature != b"PK\1\2" or end > len(data):
        raise struct.error("no entry")
    if _ALL32 in (packed, unpacked, offset):
        packed, unpacked, offset = _zip64(
            data[begin + n_name : begin + n_name + n_extra], (unpacked, packed, offset)
        )
    name = raw_name.decode("utf-8" if flags & _UTF8 else "cp437")
    if why := _refusal(
        flags, method, attributes >> 16 if system == _UNIX else 0, packed == unpacked
    ):
        raise refused(archive, repr(name), offset, why)
    return Entry(name, raw_name, method, crc32, packed, unpacked, offset, 0), end


def _zip64(extra: bytes, sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return packed size, unpacked size and offset; `sizes` has them in the order of the extra field."""
    while extra:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == _ZIP64:
            numbers = iter(struct.unpack_from(f"<{sizes.count(_ALL32)}Q", extra[: 4 + length], 4))
            unpacked, packed, offset = (
                next(numbers) if value == _ALL32 else value for value in sizes
            )
            return packed, unpacked, offset
        extra = extra[4 + length :]
    return sizes[1], sizes[0], sizes[2]


def _refusal(flags: int, method: int, mode: int, same_size: bool) -> str:
    if flags & _ENCRYPTED:
        return "it is encrypted"
    if method not in (STORED, DEFLATED):
        return f"it is packed by method {method}, expected 0 (stored) or 8 (deflate)"
    if method == STORED and not same_size:
        return "it is stored, yet has two different sizes"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link or a device"
    return ""


def _without_overlaps(entries: list[Entry], place: _Place, name: str) -> list[Entry]:
    checked, end = [], place.offset
    for entry in reversed(entries):
        if entry.offset + LOCAL.size + len(entry.raw_name) + entry.packed > end:
            raise refused(name, repr(entry.name), entry.offset, "it overlaps what follows it")
        checked.append(entry._replace(end=end))
        end = entry.offset
    checked.reverse()
    return checked
