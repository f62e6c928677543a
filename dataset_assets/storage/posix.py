"""Files and folders of a POSIX file system, made durable and shared with other processes. What `local` is built from."""

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
    """Yield the files of a folder, unsorted; `prefix` is what their keys start with."""
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
    """Open a new file for writing, and its folder as often as another process removes that as empty."""
    for _ in range(_ATTEMPTS):
        with suppress(
            FileNotFoundError, FileExistsError
        ):  # the latter when it is removed while pathlib looks at it
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb", buffering=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb", buffering=0)


def write_all(descriptor: int, parts: Sequence[Buffer]) -> int:
    """Write the buffers and return their bytes. The system may take less at once: a signal, or a disk about to be full."""
    expected = sum(len(part) for part in parts)
    written = os.writev(descriptor, parts) if parts else 0
    if written != expected:
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return expected


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
    """Remove a folder that nobody uses."""
    try:
        folder.rmdir()
    except OSError:
        return  # another writer still has files there, or it is gone already


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating system error into one that says where and what to do."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            message = f"no space left for {path}; committed shards are intact: free some space and run again to go on"
            raise DiskFull(message) from exc
        raise StorageError(f"can not write {path}: {exc.strerror}") from exc
