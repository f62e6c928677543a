"""The headers of tars that others published: names and sizes of ustar, GNU and PAX headers.

Only files and folders are accepted. Python's `tarfile` of some supported versions loops on negative
sizes (CVE-2025-8194) and reads PAX headers of any size.
Format: https://www.gnu.org/software/tar/manual/html_node/Standard.html and
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_03
"""

from collections.abc import Callable
from typing import NamedTuple

from dataset_assets.archives.tar_header import BLOCK, PAX, ZEROS, Damaged, pax_records

_MAX_EXTENSION = 1 << 20
"""Bytes of a header that holds a name: far more than a name has."""
_PAX_GLOBAL = b"g"
_GNU_NAME = b"L"
_FILES = b"0\0" + b"7"
_FOLDER = b"5"
_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "a sparse file",
}


class Header(NamedTuple):
    """The headers of one file or folder. All numbers are bytes or byte offsets."""

    name: str
    bytes: int
    offset: int  # of the first of its headers
    data: int  # offset
    is_file: bool

    @property
    def end(self) -> int:
        """Where the next header is."""
        return self.data + self.bytes + -self.bytes % BLOCK


def is_header(block: bytes) -> bool:
    """Tell whether a block has the checksum of a header."""
    if len(block) != BLOCK or block == ZEROS:
        return False
    try:
        claimed = _number(block[148:156])
    except Damaged:
        return False
    spaced = block[:148] + b" " * 8 + block[156:]
    # some old programs sum signed bytes
    return claimed == sum(spaced) or claimed == sum(
        byte - 256 if byte > 127 else byte for byte in spaced
    )


def read_header(read: Callable[[int], bytes], offset: int) -> Header | None:
    """Read the headers of the member at an offset; None at the end of the archive.

    Raises:
        Damaged: they cannot be read, or the member is refused.
    """
    extended = _Extended(None, None)
    at = offset
    while True:
        block = read(BLOCK)
        if block == ZEROS:
            return None
        if len(block) < BLOCK:
            raise Damaged("the file is cut")
        if not is_header(block):
            raise Damaged("no member header")
        kind = block[156:157]
        length = _number(block[124:136])
        at += BLOCK
        if kind not in (PAX, _PAX_GLOBAL, _GNU_NAME):
            name, size = extended
            if name is None:
                name = _name(block)
            if size is None:
                size = length
            return Header(_plain(name), size, offset, at, _is_file(kind, name))
        data = _extension(read, length)
        at += len(data)
        extended = _extend(extended, kind, data[:length])


class _Extended(NamedTuple):
    """What the headers before that of a member say about it; None: nothing."""

    name: str | None
    size: int | None


def _extend(before: _Extended, kind: bytes, data: bytes) -> _Extended:
    """Add what one more header says."""
    if kind == _GNU_NAME:
        return before._replace(name=_text(data.rstrip(b"\0")))
    records = pax_records(data)
    if any(keyword.startswith(b"GNU.sparse") for keyword in records):
        raise Damaged("a sparse file")
    if kind == _PAX_GLOBAL and {b"path", b"size"} & records.keys():
        raise Damaged("a header that gives several members one name or size")
    if b"path" in records:
        before = before._replace(name=_text(records[b"path"]))
    if b"size" in records:
        before = before._replace(size=_decimal(records[b"size"]))
    return before


def _is_file(kind: bytes, name: str) -> bool:
    if kind in _FILES:
        return not name.endswith("/")
    if kind == _FOLDER:
        return False
    raise Damaged(f"{name[:200]!r} is {_REFUSED.get(kind, f'of kind {kind!r}')}")


def _plain(name: str) -> str:
    """Return a name without what `tar .` puts before it and what marks a folder."""
    while name.startswith("./"):
        name = name[2:]
    return "" if name == "." else name.rstrip("/")


def _name(block: bytes) -> str:
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345:346] != b"\0":
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    return _text(name)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise Damaged(f"a name that is not UTF-8: {raw[:200]!r}") from exc


def _number(field: bytes) -> int:
    """Read an octal field, or a binary one of a size beyond 8 GiB."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if field[0] & 0x80 or digits.strip(b"01234567"):
        raise Damaged("a number that is negative or invalid")
    return int(digits or b"0", 8)


def _extension(read: Callable[[int], bytes], length: int) -> bytes:
    if length > _MAX_EXTENSION:
        raise Damaged(f"a header of {length:,} bytes, expected at most {_MAX_EXTENSION:,}")
    data = read(length + -length % BLOCK)
    if len(data) != length + -length % BLOCK:
        raise Damaged("the file is cut")
    return data


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 19:
        raise Damaged("a size that is negative or invalid")
    return int(digits)
