"""The tar dialect of our shards: plain ustar without extensions, fixed headers, so equal members give equal bytes.

A member is a 512-byte header (mode 0444, uid 0, gid 0, mtime 0, owner "bigdata" as img2dataset has it), the data, zeros up to a multiple of 512.
The archive ends with at least two zero blocks, filled up to 10,240 bytes. Reading is strict: any other header than the one this module would write
for that name and size is refused, so there are no links, devices, sparse files, extensions or absurd sizes to defend against.
Format: POSIX.1-1988 ustar, https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from dataset_assets.errors import ConfigurationError, ShardCorrupt
from dataset_assets.storage.store import Staged

BLOCK = 512
RECORD = 10_240
MAX_NAME = 100  # bytes
MAX_SIZE = 8**11 - 1  # bytes: 8 GiB

_TEMPLATE = bytearray(BLOCK)
_TEMPLATE[100:108] = b"0000444\0"
_TEMPLATE[108:124] = b"0000000\0" * 2
_TEMPLATE[136:148] = b"00000000000\0"
_TEMPLATE[148:156] = b" " * 8  # the checksum counts itself as spaces
_TEMPLATE[156:157] = b"0"
_TEMPLATE[257:265] = b"ustar\x0000"
_TEMPLATE[265:272] = _TEMPLATE[297:304] = b"bigdata"
_TEMPLATE_SUM = sum(_TEMPLATE)
_ZEROS = bytes(BLOCK)


def header(name: bytes, size: int) -> bytearray:
    """Return the header of a member of `size` bytes.

    Raises:
        ConfigurationError: the name or the size does not fit.
    """
    if not 0 < len(name) <= MAX_NAME:
        raise ConfigurationError(
            f"tar member name of {len(name)} bytes: expected 1 to {MAX_NAME}: {name[:MAX_NAME]!r}"
        )
    if not 0 <= size <= MAX_SIZE:
        raise ConfigurationError(
            f"tar member {name!r} of {size} bytes: expected at most {MAX_SIZE}; lower max_bytes"
        )
    block = _TEMPLATE[:]
    digits = b"%011o\0" % size
    block[: len(name)] = name
    block[124:136] = digits
    block[148:156] = b"%06o\0 " % (_TEMPLATE_SUM + sum(name) + sum(digits))
    return block


class TarStream:
    """Appends members to a staged object."""

    def __init__(self, staged: Staged) -> None:
        self._staged = staged

    def add(self, members: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """Append (name, data) members in one write; return the offset of the data of each."""
        parts: list[bytes | bytearray | memoryview] = []
        offsets = []
        position = self._staged.bytes
        for name, data in members:
            size = len(data)
            offsets.append(position + BLOCK)
            parts += (header(name, size), data, _ZEROS[: -size % BLOCK])
            position += BLOCK + size + -size % BLOCK
        self._staged.writev(parts)
        return offsets

    def finish(self) -> None:
        """Append the end of the archive."""
        self._staged.write(bytes(2 * BLOCK + -(self._staged.bytes + 2 * BLOCK) % RECORD))


@dataclass(frozen=True, slots=True)
class TarMember:
    """One member of an archive."""

    name: str
    offset: int  # of the data
    data: bytes


def read_members(file: BinaryIO, size: int, label: str) -> Iterator[TarMember]:
    """Yield the members of an archive of `size` bytes that `TarStream` wrote, in file order.

    Raises:
        ShardCorrupt: it is cut, or something else wrote it; the message starts with `label`.
    """
    position = 0
    while True:
        block = file.read(BLOCK)
        if block == _ZEROS:
            break
        name, length = _parse(block, label, position)
        position += BLOCK
        if length > size - position:
            raise ShardCorrupt(f"{label}: cut in the data of member {name!r} at byte {position}")
        data = file.read(length)
        padding = file.read(-length % BLOCK)
        if len(data) != length or len(padding) != -length % BLOCK or any(padding):
            raise ShardCorrupt(f"{label}: cut in the data of member {name!r} at byte {position}")
        yield TarMember(name, position, data)
        position += length + len(padding)
    tail = file.read(RECORD + 1)
    if not BLOCK <= len(tail) <= RECORD or any(tail) or (position + BLOCK + len(tail)) % RECORD:
        raise ShardCorrupt(
            f"{label}: the end of the archive at byte {position} is cut or followed by other bytes"
        )


def _parse(block: bytes, label: str, position: int) -> tuple[str, int]:
    try:
        name, length = block[:MAX_NAME].rstrip(b"\0"), int(block[124:135], 8)
        if block == header(name, length):
            return name.decode("ascii"), length
    except ValueError:  # ConfigurationError is one too
        pass
    raise ShardCorrupt(f"{label}: no valid member header at byte {position}")
