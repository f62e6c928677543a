"""Durable files and folders of a POSIX file system, safe to share with other processes."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dataset_assets.errors import DiskFull, StorageError
from dataset_assets.storage.store import TEMPORARY, Buffer, ObjectInfo

ABSENT = (FileNotFoundError, NotADirectoryError)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ATTEMPTS = 1000
_Identity = tuple[int, int]  # device and inode


def walk(
    folder: Path,
    prefix: str,
    *,
    recursive: bool,
    start: str = "",
    above: tuple[_Identity, ...] = (),
) -> Iterator[ObjectInfo]:
    """Yield the regular files of a folder, unsorted; links are followed, but not in circles.

    Args:
        folder: where to look.
        prefix: the start of the keys of its files.
        recursive: look into its folders too.
        start: how the names in this folder start; others are not looked at, which would take long.
        above: the folders that were entered on the way to this one.

    Raises:
        StorageError: a folder cannot be read.
    """
    try:
        here = _identity(os.stat(folder))
        entries = [] if here in above else list(os.scandir(folder))
    except ABSENT:
        return
    except OSError as exc:
        raise StorageError(
            f"cannot list {folder}: {exc.strerror}; make it readable for this user, or move it out "
            "of the folder above"
        ) from exc
    for entry in entries:
        found = _stat(entry) if entry.name.startswith(start) else None
        if found is None:
            continue
        if stat.S_ISDIR(found.st_mode):
            if recursive and entry.name != TEMPORARY:
                yield from walk(
                    Path(entry.path),
                    f"{prefix}{entry.name}/",
                    recursive=True,
                    above=(*above, here),
                )
        elif stat.S_ISREG(found.st_mode):  # a pipe would block its reader
            yield ObjectInfo(f"{prefix}{entry.name}", found.st_size, found.st_mtime)


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return what is known of a file, None if it does not exist.

    It was deleted since the folder was read, or is a link to nothing or to itself.
    """
    try:
        return entry.stat()
    except ABSENT:
        return None
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            return None
        raise StorageError(f"cannot read {entry.path}: {exc.strerror}") from exc


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
