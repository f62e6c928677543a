"""Archives of a split: reproducible tar and tar.gz files, written once and read strictly.

Reading accepts the dialect of `_tar_header` and nothing else, so there are no links, devices, sparse files or foreign extensions to defend against, and
a cut at any byte is an error: the readers that people use take one in a header or between members for the end and go on with fewer samples. Nothing
is extracted or decoded; a pickle is bytes.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Self

from dataset_assets.archives.gzip_stream import Deflating, Inflating
from dataset_assets.archives.split_tar_header import (
    BLOCK,
    RECORD,
    check_member_name,
    extension_bytes,
    header,
    parse,
)
from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt
from dataset_assets.records.splits import ArchiveFile
from dataset_assets.storage.store import Buffer, Store

__all__ = ["TarWriter", "check_member_name", "check_tar", "read_tar", "stored_bytes"]

_ZEROS = bytes(BLOCK)
_CHUNK = 1 << 20


def stored_bytes(name: str, size: int) -> int:
    """Return the bytes that a member takes in an archive."""
    return len(header(name, size)) + size + -size % BLOCK


class TarWriter:
    """An archive on its way into a store, invisible until `commit`. A context manager that discards unless committed."""

    def __init__(self, store: Store, name: str, compression: str) -> None:
        """Stage `name`; compression is "none" or "gz"."""
        if compression not in ("none", "gz"):
            raise ConfigurationError(
                f"compression of an archive: expected none or gz, got {compression!r}"
            )
        self._staged = store.stage(name)
        self._sink = Deflating(self._staged) if compression == "gz" else self._staged
        self._names: set[str] = set()
        self._position = 0  # in the tar, before compression
        self._finished = False

    def add(self, key_members: Sequence[tuple[str, bytes]]) -> None:
        """Append the members of one sample: (name, data) in order.

        Raises:
            ConfigurationError: a name is not safe, or is in the archive already; nothing of the sample is written.
            DiskFull, StorageError: the store refuses the bytes.
        """
        for position, (name, _) in enumerate(key_members):
            check_member_name(name)
            if name in self._names or any(name == other for other, _ in key_members[:position]):
                raise ConfigurationError(f"{self._staged.key}: two members have the name {name!r}")
        parts: list[Buffer] = []
        for name, data in key_members:
            self._names.add(name)
            parts += (header(name, len(data)), data, _ZEROS[: -len(data) % BLOCK])
        self._write(parts)

    def commit(self) -> tuple[int, str, int]:
        """Finish the archive and make it visible; return its bytes, sha256 and number of members. Idempotent."""
        if not self._finished:
            self._write([bytes(2 * BLOCK + -(self._position + 2 * BLOCK) % RECORD)])
            if isinstance(self._sink, Deflating):
                self._sink.finish()
            self._finished = True
        self._staged.commit()
        return self._staged.bytes, self._staged.sha256, len(self._names)

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._staged.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def _write(self, parts: Sequence[Buffer]) -> None:
        self._sink.writev(parts)
        self._position += sum(len(part) for part in parts)


def read_tar(file: BinaryIO, kind: str, label: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and data of every member of a "tar" or "tar.gz" that `TarWriter` wrote, in file order, a member in memory at a time.

    Raises:
        ShardCorrupt: it is cut or altered at any byte, or something else wrote it; the message starts with `label`.
    """
    if kind not in ("tar", "tar.gz"):
        raise ConfigurationError(f"kind of archive: expected tar or tar.gz, got {kind!r}")
    source = _Source(
        io.BufferedReader(Inflating(file, label), _CHUNK) if kind == "tar.gz" else file, label
    )
    seen: set[str] = set()
    while found := _next_header(source):
        name, size = found
        if name in seen:
            raise ShardCorrupt(f"{label}: member {name!r} occurs twice")
        seen.add(name)
        data = source.take(size, f"in the data of member {name!r}")
        if any(source.take(-size % BLOCK, f"behind the data of member {name!r}")):
            raise ShardCorrupt(
                f"{label}: bytes that are not zero behind the data of member {name!r}"
            )
        yield name, data
    _check_end(source)


def check_tar(store: Store, file: ArchiveFile) -> list[str]:
    """List what is wrong with a committed archive, in sentences that name it; [] when it is what its record says."""
    try:
        with store.open_read(file.name) as opened:
            return list(_problems(_Hashed(opened), file))
    except ObjectMissing:
        return [f"{file.name} is missing"]


def _problems(hashed: "_Hashed", file: ArchiveFile) -> Iterator[str]:
    try:
        members, counts = _count(name for name, _ in read_tar(hashed, file.kind, file.name))  # type: ignore[arg-type]
        if members != file.members:
            yield f"{file.name} has {members} members, expected {file.members}"
        if file.samples not in counts:
            yield f"{file.name} has {counts[0]} samples, expected {file.samples}"
    except ShardCorrupt as exc:
        yield str(exc)
    size, sha256 = hashed.finish()
    if size != file.bytes:
        yield f"{file.name} has {size} bytes, expected {file.bytes}"
    elif sha256 != file.sha256:
        yield f"{file.name} has changed: sha256 {sha256}, expected {file.sha256}"


def _count(names: Iterator[str]) -> tuple[int, tuple[int, int]]:
    """Count members, and samples as both layouts have them: members that share what is before the first dot, or the folder, one after another."""
    members = stems = folders = 0
    stem = folder = None
    for name in names:
        found, _, base = name.rpartition("/")
        members += 1
        stems += (found, base.partition(".")[0]) != stem
        folders += found != folder
        stem, folder = (found, base.partition(".")[0]), found
    return members, (stems, folders)


class _Source:
    """Reads exactly what is asked for, and knows where it is."""

    def __init__(self, file: BinaryIO | io.BufferedReader, label: str) -> None:
        self._file, self.label = file, label
        self.position = 0

    def take(self, length: int, where: str) -> bytes:
        data = self.up_to(length)
        if len(data) != length:
            raise ShardCorrupt(f"{self.label}: cut {where}, at byte {self.position}")
        return data

    def up_to(self, length: int) -> bytes:
        """Read less only at the end. In pieces, so a header that lies about its size costs no memory."""
        parts = []
        while length and (part := self._file.read(min(length, _CHUNK))):
            parts.append(part)
            length -= len(part)
            self.position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _next_header(source: _Source) -> tuple[str, int] | None:
    start = source.position
    blocks = source.take(BLOCK, "where a member or the end should start")
    if blocks == _ZEROS:
        return None
    try:
        if more := extension_bytes(blocks):
            blocks += source.take(more, "in a member's header")
        name, size = parse(blocks)
        return check_member_name(name), size
    except ConfigurationError as exc:
        raise ShardCorrupt(f"{source.label}: {exc}") from exc
    except ValueError as exc:
        raise ShardCorrupt(
            f"{source.label}: no valid member header at byte {start}; links, devices and archives of other programs are refused"
        ) from exc


def _check_end(source: _Source) -> None:
    start = source.position - BLOCK
    tail = source.up_to(RECORD + 1)
    if not BLOCK <= len(tail) <= RECORD or any(tail) or source.position % RECORD:
        raise ShardCorrupt(
            f"{source.label}: the end of the archive at byte {start} is cut or followed by other bytes"
        )


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self._bytes = file, hashlib.sha256(), 0

    def read(self, length: int) -> bytes:
        data = self._file.read(length)
        self._hash.update(data)
        self._bytes += len(data)
        return data

    def finish(self) -> tuple[int, str]:
        """Read the rest; return the bytes and the hex digest of the whole file."""
        while self.read(_CHUNK):
            continue
        return self._bytes, self._hash.hexdigest()
