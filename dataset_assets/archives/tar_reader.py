"""Reads the tars of shard sets and splits, strictly: only what `tar_writer` writes is accepted.

There are therefore no links, devices, sparse files or foreign extensions to defend against. A cut
at any byte is an error: the readers that people use take a cut in a header or between members for
the end of the archive and continue with fewer samples. Nothing is extracted or decoded; a pickle
is bytes.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from dataset_assets.archives.member_names import check_member_name
from dataset_assets.archives.tar_header import BLOCK, RECORD, ZEROS, Damaged, TarDialect
from dataset_assets.errors import ConfigurationError, ShardCorrupt

_CHUNK = 1 << 20


class TarEntry(NamedTuple):
    """Where the data of a member is."""

    name: str
    offset: int
    """First byte of the data in the unpacked tar."""
    bytes: int


class TarMember(NamedTuple):
    """A member with its data."""

    name: str
    offset: int
    """First byte of the data in the unpacked tar."""
    data: bytes


def read_tar(file: BinaryIO, label: str, dialect: TarDialect) -> Iterator[TarMember]:
    """Yield the members of a tar in file order, one in memory at a time.

    Raises:
        ShardCorrupt: the file is cut or altered, or something else wrote it; the message starts
            with `label`.
    """
    source = _Source(file, label)
    for entry in _entries(source, dialect):
        name, offset, size = entry
        data = source.read(size)
        if len(data) != size:
            raise source.cut(f"in the data of member {name!r}")
        padding = source.read(-size % BLOCK)
        if len(padding) != -size % BLOCK:
            raise source.cut(f"after the data of member {name!r}")
        if any(padding):
            raise ShardCorrupt(
                f"{label}: bytes that are not zero after the data of member {name!r}"
            )
        yield TarMember(name, offset, data)


def list_tar(file: BinaryIO, label: str, dialect: TarDialect) -> Iterator[TarEntry]:
    """Yield where the members of a tar are, without reading their data.

    The file may be sought between two entries.

    Raises:
        ShardCorrupt: the file is cut or altered, or something else wrote it; the message starts
            with `label`.
    """
    source = _Source(file, label)
    for entry in _entries(source, dialect):
        yield entry
        source.seek(entry.offset + entry.bytes + -entry.bytes % BLOCK)


class _Source:
    """A tar that is read from start to end, and the position in it."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file = file
        self.label = label
        self.position = 0

    def read(self, length: int) -> bytes:
        """Read so many bytes, and less only at the end.

        Reads in pieces, so that a header that claims an absurd size costs no memory.
        """
        parts = []
        while length and (part := self._file.read(min(length, _CHUNK))):
            parts.append(part)
            length -= len(part)
        data = b"".join(parts)  # one part is not copied
        self.position += len(data)
        return data

    def cut(self, where: str) -> ShardCorrupt:
        """Return the error for a tar that ends too early."""
        return ShardCorrupt(f"{self.label}: cut {where}, at byte {self.position}")

    def seek(self, position: int) -> None:
        self.position = self._file.seek(position)


def _entries(source: _Source, dialect: TarDialect) -> Iterator[TarEntry]:
    """Read headers; the caller moves over the data of an entry before it asks for the next one."""
    seen: set[str] = set()
    while entry := _next_entry(source, dialect):
        if dialect.is_extended:
            if entry.name in seen:
                raise ShardCorrupt(f"{source.label}: member {entry.name!r} occurs twice")
            seen.add(entry.name)
        yield entry
    _check_end(source)


def _next_entry(source: _Source, dialect: TarDialect) -> TarEntry | None:
    start = source.position
    blocks = source.read(BLOCK)
    if len(blocks) != BLOCK:
        raise source.cut("where a member or the end should start")
    if blocks == ZEROS:
        return None
    try:
        if more := dialect.extension_bytes(blocks):
            blocks += source.read(more)
            if len(blocks) != BLOCK + more:
                raise source.cut("in a member's header")
        name, size = dialect.parse(blocks)
        if dialect.is_extended:
            check_member_name(name)
    except ConfigurationError as exc:
        raise ShardCorrupt(f"{source.label}: {exc}") from exc
    except Damaged as exc:
        raise ShardCorrupt(
            f"{source.label}: no valid member header at byte {start}; expected a tar that this "
            "package wrote: links, devices and tars of other programs are refused"
        ) from exc
    return TarEntry(name, source.position, size)


def _check_end(source: _Source) -> None:
    start = source.position - BLOCK
    tail = source.read(RECORD + 1)
    if not BLOCK <= len(tail) <= RECORD or any(tail) or source.position % RECORD:
        raise ShardCorrupt(
            f"{source.label}: the end of the archive at byte {start} is cut or followed by other "
            "bytes"
        )
