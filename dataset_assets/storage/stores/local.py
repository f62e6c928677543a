"""A folder on a local or mounted file system.

A staged object is `<folder>/_tmp/<name>.<random>` until it is renamed into place; data reaches the
disk before its name does (fsync of the file, rename, fsync of the folder), so after a crash or
power loss an object is whole or absent.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from dataset_assets.errors import NotWritable, ObjectMissing, StorageError
from dataset_assets.storage.posix import (
    ABSENT,
    create,
    make_folder,
    remove_if_empty,
    sync_folder,
    translate_os_errors,
    walk,
    write_all,
)
from dataset_assets.storage.store import TEMPORARY, Buffer, ObjectInfo, Staged, check_key
from dataset_assets.storage.store import Store as StoreProtocol

_MAX_BUFFERS = 1024  # IOV_MAX of Linux and macOS


class Store(StoreProtocol):
    """Objects as files below one folder."""

    def __init__(self, url: str) -> None:
        path = unquote(urlsplit(url).path) if url.startswith(("file://", "local://")) else url
        self.root = Path(os.path.abspath(Path(path).expanduser()))
        self.url = str(self.root)

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def locate(self, key: str) -> str:
        return str(self._path(key))

    def child(self, prefix: str) -> "Store":
        return Store(str(self._path(prefix)))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with self.open_read(key) as file:
            file.seek(start)
            return file.read() if length is None else file.read(length)

    def open_read(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (*ABSENT, IsADirectoryError) as exc:
            raise ObjectMissing(f"no such object: {self._path(key)}") from exc
        except OSError as exc:
            raise StorageError(f"cannot read {self._path(key)}: {exc.strerror}") from exc

    def info(self, key: str) -> ObjectInfo | None:
        try:
            found = self._path(key).stat()
        except ABSENT:
            return None
        if stat.S_ISDIR(found.st_mode):
            return None
        return ObjectInfo(key, found.st_size, found.st_mtime)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        folder, slash, start = prefix.rpartition("/")
        top = self.root / folder if folder else self.root
        found = walk(top, f"{folder}{slash}", recursive=recursive, start=start)
        yield from sorted(found, key=lambda info: info.key)

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        with _StagedFile(self.root, self._path(key), key, sha256=False, durable=durable) as staged:
            staged.write(data)
            staged.commit()

    def write_new(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        with _StagedFile(self.root, path, key, sha256=False) as staged:
            staged.write(data)
            staged.close()
            with translate_os_errors(path):
                make_folder(path.parent)
                try:
                    os.link(staged.temporary, path)
                except FileExistsError:
                    return False
                sync_folder(path.parent)
        return True

    def stage(self, key: str, *, sha256: bool = True) -> "_StagedFile":
        return _StagedFile(self.root, self._path(key), key, sha256=sha256)

    def delete(self, key: str) -> None:
        with translate_os_errors(self._path(key)):
            self._path(key).unlink(missing_ok=True)

    def delete_tree(self, prefix: str) -> None:
        top = self._path(prefix.rstrip("/")) if prefix else self.root
        with translate_os_errors(top):
            if prefix:
                _delete_entry(top)
            elif top.is_dir():
                for entry in list(top.iterdir()):
                    _delete_entry(entry)
        parent = top.parent
        while self.root in parent.parents:
            remove_if_empty(parent)
            parent = parent.parent

    def sweep(self, older_than_s: float) -> int:
        limit = time.time() - older_than_s
        swept = 0
        folder = self.root / TEMPORARY
        try:
            entries = list(folder.iterdir())
        except ABSENT:
            return 0
        for entry in entries:
            try:
                if entry.stat().st_mtime < limit:
                    entry.unlink()
                    swept += 1
            except FileNotFoundError:
                continue  # its writer has just committed or discarded it
        remove_if_empty(folder)
        return swept

    def check_writable(self) -> None:
        probe = self.root / TEMPORARY / f"probe-{uuid4().hex}"
        try:
            create(probe).close()
            probe.unlink()
        except OSError as exc:
            raise NotWritable(
                f"cannot write to {self.root}: {exc.strerror}; choose an output folder that this "
                "user may write to"
            ) from exc
        remove_if_empty(probe.parent)


def _delete_entry(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_raise_unless_gone)
    else:
        path.unlink(missing_ok=True)


def _raise_unless_gone(_call: Callable[..., object], _path: str, error: Any) -> None:
    """Ignore that another process deletes the same tree: `onerror` of `shutil.rmtree`."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


class _StagedFile(Staged):
    """A temporary file that becomes an object by a rename."""

    def __init__(
        self, root: Path, path: Path, key: str, *, sha256: bool, durable: bool = True
    ) -> None:
        super().__init__(key, sha256=sha256)
        self._path = path
        self._durable = durable
        self.temporary = root / TEMPORARY / f"{path.name}.{uuid4().hex}"
        with translate_os_errors(path):
            self._file = create(self.temporary)

    def _append(self, parts: Sequence[Buffer]) -> None:
        with translate_os_errors(self._path):
            for first in range(0, len(parts), _MAX_BUFFERS):
                write_all(self._file.fileno(), parts[first : first + _MAX_BUFFERS])

    def _flush(self) -> None:
        with translate_os_errors(self._path):
            if self._durable:
                os.fsync(self._file.fileno())
            self._file.close()

    def _publish(self) -> None:
        with translate_os_errors(self._path):
            make_folder(self._path.parent)
            os.replace(self.temporary, self._path)
            if self._durable:
                sync_folder(self._path.parent)
        remove_if_empty(self.temporary.parent)

    def _remove(self) -> None:
        self._file.close()
        self.temporary.unlink(missing_ok=True)
        remove_if_empty(self.temporary.parent)
