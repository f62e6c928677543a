"""The central directory of a zip: where each member is, and checks that no two share bytes.

Only the end of the file is read. Python's `zipfile` is not used: it reads a directory of any size
into memory, shifts all offsets when bytes are missing or added before the directory, ignores the
count of members and the parts of a split zip, alters names, and in some supported versions accepts
overlaps (CVE-2024-0450). Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import hashlib
import io
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from dataset_assets.archives.published import ArchiveLimits, check_name, refusal
from dataset_assets.errors import ArchiveCorrupt

STORED = 0
DEFLATED = 8
# signature, version, flags, method, time, date, crc, packed, unpacked, name length, extra length
LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s2B5H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_TAIL = _END.size + 0xFFFF + _LOCATOR.size + _END64.size  # bytes that hold all but the directory
_UNIX = 3
_UTF8 = 0x800
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_ZIP64 = 1  # id of the extra field
_ALL32 = 0xFFFFFFFF  # the value is in the zip64 field


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
class _Location:
    """Where the directory is."""

    count: int  # entries
    size: int  # bytes
    offset: int


def read_directory(file: BinaryIO, name: str, limits: ArchiveLimits) -> tuple[list[Entry], str]:
    """Read and check the directory.

    Returns:
        All files, in the order of their bytes, and the sha256 (hex) of the directory.

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
            f"{name}: a directory of {place.size:,} bytes, expected at most "
            f"{limits.max_directory_bytes:,}"
        )
    if place.offset >= start:
        data = tail[place.offset - start :][: place.size]
    else:
        file.seek(place.offset)
        data = file.read(place.size)
    entries = sorted(_entries(data, place, name, limits), key=lambda entry: entry.offset)
    return _without_overlaps(entries, place, name), hashlib.sha256(data).hexdigest()


def _find(tail: bytes, start: int, name: str) -> _Location:
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveCorrupt(
            f"{name}: expected a directory at the end of the zip, got none: the file is cut; "
            "download it again"
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
        raise ArchiveCorrupt(
            f"{name}: expected a whole zip, got one part of a split zip; join the parts"
        )
    if offset + size != start + end:
        raise _moved(name)
    return _Location(count, size, offset)


def _moved(name: str) -> ArchiveCorrupt:
    return ArchiveCorrupt(
        f"{name}: bytes are missing from the middle of the zip, or were put before it: its "
        "directory is not where it should be; download it again"
    )


def _entries(data: bytes, place: _Location, name: str, limits: ArchiveLimits) -> Iterator[Entry]:
    """Yield the files; folders are skipped."""
    at = 0
    found = 0
    names = set[str]()
    while at < len(data):
        try:
            entry, at = _entry(data, at, name)
        except (struct.error, UnicodeDecodeError) as exc:
            raise ArchiveCorrupt(
                f"{name}: entry {found:,} of the directory is damaged; download the zip again"
            ) from exc
        found += 1
        if entry.name.endswith("/"):
            check_name(name, entry.name[:-1], entry.offset)
            continue
        if entry.name in names:
            raise refusal(name, entry.name, entry.offset, "another member has this name")
        names.add(check_name(name, entry.name, entry.offset))
        if limits.is_bomb(entry.packed, entry.unpacked):
            why = f"{entry.packed:,} bytes that unpack to {entry.unpacked:,}"
            raise refusal(name, entry.name, entry.offset, why)
        yield entry
    if found != place.count or at != place.size:
        raise ArchiveCorrupt(
            f"{name}: expected {place.count:,} members in the directory, got {found:,}; "
            "download the zip again"
        )


def _entry(data: bytes, at: int, archive: str) -> tuple[Entry, int]:
    """Return the entry that begins at a byte of the directory, and where it ends."""
    fields = _ENTRY.unpack_from(data, at)
    signature, _, system, _, flags, method, _, _, crc32, packed, unpacked = fields[:11]
    n_name, n_extra, n_comment, _, _, attributes, offset = fields[11:]
    begin = at + _ENTRY.size
    raw_name = data[begin : begin + n_name]
    end = begin + n_name + n_extra + n_comment
    if signature != b"PK\1\2" or end > len(data):
        raise struct.error("no entry")
    if _ALL32 in (packed, unpacked, offset):
        extra = data[begin + n_name : begin + n_name + n_extra]
        packed, unpacked, offset = _zip64(extra, (unpacked, packed, offset))
    name = raw_name.decode("utf-8" if flags & _UTF8 else "cp437")
    mode = attributes >> 16 if system == _UNIX else 0
    if why := _why_unsupported(flags, method, mode, packed == unpacked):
        raise refusal(archive, name, offset, why)
    return Entry(name, raw_name, method, crc32, packed, unpacked, offset, 0), end


def _zip64(extra: bytes, sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return packed size, unpacked size and offset.

    `sizes` has them in the order of the extra field: unpacked, packed, offset.
    """
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


def _why_unsupported(flags: int, method: int, mode: int, same_size: bool) -> str:
    if flags & _ENCRYPTED:
        return "it is encrypted"
    if method not in (STORED, DEFLATED):
        return f"it is packed by method {method}, expected 0 (stored) or 8 (deflate)"
    if method == STORED and not same_size:
        return "it is stored, but has two different sizes"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link or a device"
    return ""


def _without_overlaps(entries: list[Entry], place: _Location, name: str) -> list[Entry]:
    checked = []
    end = place.offset
    for entry in reversed(entries):
        if entry.offset + LOCAL.size + len(entry.raw_name) + entry.packed > end:
            raise refusal(name, entry.name, entry.offset, "it overlaps what follows it")
        checked.append(entry._replace(end=end))
        end = entry.offset
    checked.reverse()
    return checked
