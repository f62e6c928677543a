"""Every URL scheme without a file of its own, through fsspec: memory://, gs://, hdfs:// ...

A staged object is an unnamed local temporary file until it is committed, so a killed process leaves
nothing behind. Object storage shows an upload only when it is complete: there the commit is the
upload. File systems show a file while it grows: there `close` uploads to `_tmp/` and the commit is
a rename; where a rename does not replace an existing file (hdfs, smb), the old object is removed
first, and readers see none for a moment. `write_new` is exact on stores that can create
conditionally; elsewhere it looks first, and two writers in the same instant may both win.

The file system object is created on first use in each process; it is never pickled and never
crosses a fork.
Interface: https://filesystem-spec.readthedocs.io/en/latest/api.html
"""

import io
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, BinaryIO
from uuid import uuid4

from dataset_assets.errors import NotWritable
from dataset_assets.storage.fsspec_folder import (
    ABSENT,
    CONDITIONAL,
    FsspecFolder,
    FsspecUpload,
    describe,
    translate_fsspec_errors,
)
from dataset_assets.storage.store import TEMPORARY, ObjectInfo, check_key
from dataset_assets.storage.store import Store as StoreProtocol

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
"""Keys with which file systems say when an object was modified."""


class Store(FsspecFolder, StoreProtocol):
    """Objects below one URL. `url` has no password; the store keeps the one it was opened with."""

    def child(self, prefix: str) -> "Store":
        return Store(self._address_of(prefix))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        fs, path = self._path(key)
        end = None if length is None else start + max(length, 1)
        with translate_fsspec_errors(self.locate(key), reads=True):
            try:
                data: bytes = fs.cat_file(path, start=start, end=end)
            except ABSENT:
                raise
            except Exception:
                info = self.info(key)
                if info is not None and start >= info.bytes:
                    return b""  # some stores refuse a range after the end
                raise
        return data[:length]

    def open_read(self, key: str) -> BinaryIO:
        # its files are the stored objects: all readers would share one position
        if self._scheme == "memory":
            return io.BytesIO(self.read(key))
        fs, path = self._path(key)
        with translate_fsspec_errors(self.locate(key), reads=True):
            file: BinaryIO = fs.open(path, "rb")
        return file

    def info(self, key: str) -> ObjectInfo | None:
        fs, path = self._path(key)
        with translate_fsspec_errors(self.locate(key)):
            fs.invalidate_cache()
            try:
                found = fs.info(path)
            except ABSENT:
                return None
        return _object_info(key, found) if found["type"] != "directory" else None

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        found = self._below(prefix.rpartition("/")[0], recursive=recursive)
        wanted = (info for info in found if info.key.startswith(prefix))
        committed = (info for info in wanted if TEMPORARY not in info.key.split("/"))
        yield from sorted(committed, key=lambda info: info.key)

    def _below(self, folder: str, *, recursive: bool) -> Iterable[ObjectInfo]:
        fs, root = self.open()
        top = f"{root}/{folder}" if folder else root
        with translate_fsspec_errors(self.url):
            fs.invalidate_cache()
            try:
                if recursive:
                    entries = list(fs.find(top, detail=True).values())
                else:
                    entries = list(fs.ls(top, detail=True))
            except ABSENT:
                return []
        return [
            _object_info(entry["name"].removeprefix(root).lstrip("/"), entry)
            for entry in entries
            if entry["type"] != "directory" and entry["name"] != root
        ]

    def write_new(self, key: str, data: bytes) -> bool:
        if self._scheme not in CONDITIONAL:
            return super().write_new(key, data)
        fs, path = self._path(key)
        with translate_fsspec_errors(self.locate(key)):
            try:
                fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
        return True

    def stage(self, key: str, *, sha256: bool = True) -> FsspecUpload:
        return FsspecUpload(self, key, sha256=sha256)

    def delete(self, key: str) -> None:
        fs, path = self._path(key)
        with translate_fsspec_errors(self.locate(key)), suppress(FileNotFoundError):
            fs.rm_file(path)

    def delete_tree(self, prefix: str) -> None:
        """Delete every object below `prefix`; empty folders may stay."""
        self._delete_below(check_key(prefix.rstrip("/")) if prefix else "")

    def sweep(self, older_than_s: float) -> int:
        return self._delete_below(TEMPORARY, older_than_s=older_than_s)

    def _delete_below(self, folder: str, *, older_than_s: float | None = None) -> int:
        fs, root = self.open()
        limit = None if older_than_s is None else time.time() - older_than_s
        deleted = 0
        for info in self._below(folder, recursive=True):
            if limit is None or 0 < info.modified < limit:
                with translate_fsspec_errors(self.url), suppress(FileNotFoundError):
                    fs.rm_file(f"{root}/{info.key}")
                    deleted += 1
        return deleted

    def check_writable(self) -> None:
        fs, root = self.open()
        probe = f"{root}/{TEMPORARY}/probe-{uuid4().hex}"
        try:
            if not self.is_object_storage:
                fs.makedirs(f"{root}/{TEMPORARY}", exist_ok=True)
            fs.pipe_file(probe, b"")
            fs.rm_file(probe)
        except Exception as exc:
            raise NotWritable(
                f"cannot write to {self.url}: {describe(exc)}; choose an output that these "
                "credentials may write to"
            ) from exc


def _object_info(key: str, found: dict[str, Any]) -> ObjectInfo:
    modified = next((found[name] for name in _TIMES if found.get(name)), 0.0)
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    if isinstance(modified, datetime):
        modified = modified.timestamp()
    return ObjectInfo(key, int(found["size"] or 0), float(modified))
