"""Durable files and folders of a POSIX file system, safe to share with other processes."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dataset_assets.errors import DiskFull, StorageError
from dataset_assets.storage.store import TEMPORARY, Buffer, ObjectInfo

ABSENT = (FileNotFoundError, NotADirectoryError)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ATTEMPTS = 1000


def walk(folder: Path, prefix: str, *, recursive: bool) -> Iterator[ObjectInfo]:
    """Yield the files of a folder, unsorted; `prefix` is the start of their keys."""
    try:
        entries = list(os.scandir(folder))
    except ABSENT:
        return
    for entry in entries:
        if entry.is_dir():
            if recursive and entry.name != TEMPORARY:
                yield from walk(Path(entry.path), f"{prefix}{entry.name}/", recursive=True)
            continue
        try:
            found = entry.stat()
        except FileNotFoundError:
            continue  # deleted since the folder was read, or a dangling link
        yield ObjectInfo(f"{prefix}{entry.name}", found.st_size, found.st_mtime)


def create(path: Path) -> BinaryIO:
    """Open a new file for writing; create its folder as often as others remove it as empty."""
    for _ in range(_ATTEMPTS):
        # FileExistsError: the folder was removed while pathlib looked at it
        with suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb", buffering=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb", buffering=0)


def write_all(descriptor: int, parts: Sequence[Buffer]) -> None:
    """Write the buffers, which must be some.

    The system may write less at once, after a signal or when a disk is nearly full.
    """
    written = os.writev(descriptor, parts)
    if written != sum(len(part) for part in parts):
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def make_folder(folder: Path) -> None:
    """Create a folder with its parents, each one durable in the one above."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder unless it has files."""
    try:
        folder.rmdir()
    except OSError:
        return  # another writer has files there, or it is already gone


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Raise errors of this package, with advice, for those of the operating system.

    Raises:
        DiskFull, StorageError: the file cannot be written.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise DiskFull(
                f"no space left for {path}; committed shards are kept: free some space and run "
                "again to resume"
            ) from exc
        raise StorageError(f"cannot write {path}: {exc.strerror}") from exc
