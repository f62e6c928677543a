"""Opens a published archive over any seekable file, on disk, object storage or a web server.

The kind is detected from the content, not from the name. Nothing is unpacked to a disk. What is
refused is listed in `Archive`.
"""

import errno
import hashlib
import io
import shutil
import tempfile
from typing import BinaryIO

from dataset_assets.archives.published import MIB, Archive, ArchiveLimits
from dataset_assets.archives.published_tar import TarArchive
from dataset_assets.archives.published_tar_header import is_header
from dataset_assets.archives.published_zip import ZipArchive
from dataset_assets.archives.tar_header import BLOCK
from dataset_assets.errors import ArchiveCorrupt, DiskFull


def open_archive(file: BinaryIO, name: str, limits: ArchiveLimits | None = None) -> Archive:
    """Open a zip, tar or tar.gz. The directory of a zip is read and checked.

    Raises:
        ArchiveCorrupt: the file is none of them, is damaged, or holds what is refused.
    """
    limits = limits or ArchiveLimits()
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(BLOCK)
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return ZipArchive(file, name, limits)
    is_packed = head.startswith(b"\x1f\x8b")
    if is_packed or is_header(head):
        digest = hashlib.sha256(f"{name}\n{size}\n".encode() + head).hexdigest()
        return TarArchive(file, name, limits, is_packed=is_packed, digest=digest)
    raise ArchiveCorrupt(
        f"{name}: expected a zip, tar or tar.gz, got {_shown(head)} ({size:,} bytes); "
        "download the archive again"
    )


def _shown(head: bytes) -> str:
    if not head:
        return "nothing"
    if head.lstrip()[:1] == b"<":
        return "a web page; it may need a login"
    return f"{head[:16]!r}..."


def spool(file: BinaryIO) -> BinaryIO:
    """Copy a stream into an unnamed temporary file, for an archive in an archive.

    Closes the stream.

    Raises:
        DiskFull: the copy does not fit.
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
                f"no space left in {tempfile.gettempdir()} for a temporary copy; free some, or set "
                "TMPDIR to another folder"
            ) from exc
        raise
    return copy
