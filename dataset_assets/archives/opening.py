"""Archives as datasets are published: opened over any seekable file, on disk, on object storage or on a web server, by what is in them, not by name.

Nothing is unpacked onto a disk and nothing is written under a member's name. What is refused is told in `Archive`.
"""

import errno
import hashlib
import io
import shutil
import tempfile
from typing import BinaryIO

from dataset_assets.archives.archive import MIB, Archive, ArchiveLimits
from dataset_assets.archives.hashed_file import HashedFile
from dataset_assets.archives.tar_archive import TarArchive
from dataset_assets.archives.tar_headers import BLOCK, is_header
from dataset_assets.archives.zip_archive import ZipArchive
from dataset_assets.errors import ArchiveCorrupt, DiskFull

__all__ = ["Archive", "ArchiveLimits", "HashedFile", "open_archive", "spooled"]


def open_archive(file: BinaryIO, name: str, limits: ArchiveLimits | None = None) -> Archive:
    """Open a zip, tar or tar.gz. Of a zip, its directory is read and checked.

    Raises:
        ArchiveCorrupt: it is none of them, is damaged, or holds what is refused.
    """
    limits = limits or ArchiveLimits()
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(BLOCK)
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return ZipArchive(file, name, limits)
    packed = head.startswith(b"\x1f\x8b")
    if packed or is_header(head):
        return TarArchive(
            file,
            name,
            limits,
            packed=packed,
            digest=hashlib.sha256(f"{name}\n{size}\n".encode() + head).hexdigest(),
        )
    came = (
        "a web page; it may need a login"
        if head.lstrip()[:1] == b"<"
        else f"{head[:16]!r}..."
        if head
        else "nothing"
    )
    raise ArchiveCorrupt(f"{name}: expected a zip, tar or tar.gz, came {came} ({size:,} bytes)")


def spooled(file: BinaryIO) -> BinaryIO:
    """Copy a stream into a temporary file that has no name, for an archive in an archive. Closes the stream.

    Raises:
        DiskFull: it does not fit.
    """
    copy = tempfile.TemporaryFile()  # noqa: SIM115 -- the caller closes it
    try:
        with file:
            shutil.copyfileobj(file, copy, MIB)
        copy.seek(0)
    except OSError as exc:
        copy.close()
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space is left in {tempfile.gettempdir()} for a temporary copy; free some, or set TMPDIR to another folder"
            ) from exc
        raise
    return copy
