"""Writes the tars of shard sets and splits: equal members give equal bytes, packed or not.

An archive ends with at least two blocks of zeros, filled up to a multiple of 10,240 bytes.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Self

from dataset_assets.archives.member_names import check_member_name
from dataset_assets.archives.tar_header import BLOCK, RECORD, SPLIT, ZEROS, TarDialect
from dataset_assets.checks import one_of
from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.store import Buffer, Staged

KINDS = ("tar", "tar.gz")
_GZIP_LEVEL = 6
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate, no flags, no time, no system


class TarWriter:
    """An archive in a staged object, invisible until `commit`.

    A context manager that discards the object unless it was committed.
    """

    def __init__(self, staged: Staged, dialect: TarDialect, kind: str = "tar") -> None:
        """Begin an archive of kind "tar" or "tar.gz"."""
        is_packed = one_of("kind of archive", kind, KINDS) == "tar.gz"
        self._staged = staged
        self._dialect = dialect
        self._gzip = _GzipWriter(staged) if is_packed else None
        self._names: set[str] = set()
        self._members = 0
        self._position = 0  # in the tar, before compression
        self._finished = False

    def add(self, members: Sequence[tuple[str, bytes]]) -> list[int]:
        """Append the members of one sample in one write: (name, data) in order.

        Returns:
            The offset of the data of each member in the unpacked tar.

        Raises:
            ConfigurationError: a name is not safe or is in the archive already; nothing of the
                sample is written.
            DiskFull, StorageError: the store refuses the bytes.
        """
        if self._dialect.is_extended:
            self._check_names([name for name, _ in members])
        parts: list[Buffer] = []
        offsets = []
        position = self._position
        for name, data in members:
            header = self._dialect.header(name, len(data))
            padding = -len(data) % BLOCK
            parts += (header, data, ZEROS[:padding])
            offsets.append(position + len(header))
            position += len(header) + len(data) + padding
        self._write(parts)
        self._position = position
        self._members += len(members)
        return offsets

    def finish(self) -> None:
        """Append the end of the archive. Idempotent; the object stays invisible."""
        if self._finished:
            return
        self._write([bytes(2 * BLOCK + -(self._position + 2 * BLOCK) % RECORD)])
        if self._gzip is not None:
            self._gzip.finish()
        self._staged.close()
        self._finished = True

    def commit(self) -> tuple[int, str, int]:
        """Finish the archive and make it visible. Idempotent.

        Returns:
            Its size in bytes, its sha256 (hex) and the number of its members.
        """
        self.finish()
        self._staged.commit()
        return self._staged.bytes, self._staged.sha256, self._members

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._staged.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def _check_names(self, names: Sequence[str]) -> None:
        new = set(map(check_member_name, names))
        if len(new) < len(names) or new & self._names:
            twice = next(
                name for i, name in enumerate(names) if name in self._names or name in names[:i]
            )
            raise ConfigurationError(
                f"{self._staged.key}: expected unique member names, got {twice!r} twice"
            )
        self._names |= new

    def _write(self, parts: Sequence[Buffer]) -> None:
        (self._gzip or self._staged).writev(parts)


def stored_bytes(name: str, size: int) -> int:
    """Return the bytes that a member takes in the tar of a split."""
    return len(SPLIT.header(name, size)) + size + -size % BLOCK


class _GzipWriter:
    """Compresses into a staged object: one gzip member without name and time (RFC 1952).

    Equal bytes give equal files. Python's own writer finishes a file when it is garbage collected,
    also one that was given up.
    """

    def __init__(self, staged: Staged) -> None:
        self._staged = staged
        self._deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = 0
        self._bytes = 0
        staged.write(_GZIP_HEADER)

    def writev(self, parts: Sequence[Buffer]) -> None:
        """Append several buffers in order."""
        for part in parts:
            self._crc = zlib.crc32(part, self._crc)
            self._bytes += len(part)
            if out := self._deflate.compress(part):
                self._staged.write(out)

    def finish(self) -> None:
        """Append the rest, checksum and length."""
        self._staged.write(
            self._deflate.flush() + struct.pack("<II", self._crc, self._bytes % 2**32)
        )
