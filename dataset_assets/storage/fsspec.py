"""Every url scheme without a file of its own, through fsspec: memory://, gs://, abfs://, hdfs://, sftp:// and whatever is installed.

A staged object is an unnamed local temporary file until it is committed: a kill leaves nothing behind. Object storage shows an upload only when it
is complete, so there the commit is the upload. File systems show a file while it grows, so there `close` uploads to `_tmp/` and the commit is a
rename. `write_new` looks before it writes: of two writers in the same instant, both may believe that they were first.

The file system object is made on first use in each process; it is never pickled and never crosses a fork.
Interface: https://filesystem-spec.readthedocs.io/en/latest/api.html
"""

import io
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, BinaryIO, Self
from uuid import uuid4

import fsspec

from dataset_assets.errors import ConfigurationError, DatasetAssetsError, DiskFull, MissingDependency, NotWritable, ObjectMissing, StorageError
from dataset_assets.storage._base import TEMPORARY, Digest, ObjectInfo, check_key, hide_credentials

#: Schemes of object storage: an upload is invisible until it is complete, and replaces what was there at once.
_OBJECT_STORAGE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "obs"}
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


class Store:
    """Objects below one url. `url` has no password in it; the store itself remembers the one it was opened with."""

    def __init__(self, url: str) -> None:
        self._address = url if url.endswith("://") else url.rstrip("/")
        self.url = hide_credentials(self._address)
        self.scheme = url.split("://", 1)[0]
        self._opened: tuple[int, Any, str] | None = None
        _check_installed(self.scheme)

    def __repr__(self) -> str:
        return f"{type(self).__module__}.Store({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _open(self) -> tuple[Any, str]:
        """Return this process's file system and the path of this store in it."""
        if self._opened is None or self._opened[0] != os.getpid():
            with _explained(self.url):
                fs, root = fsspec.core.url_to_fs(self._address)
            self._opened = os.getpid(), fs, root.rstrip("/")
        return self._opened[1:]

    def _path(self, key: str) -> tuple[Any, str]:
        fs, root = self._open()
        return fs, f"{root}/{check_key(key)}"

    @property
    def _shows_partial_writes(self) -> bool:
        return self.scheme.split("::", 1)[0] not in _OBJECT_STORAGE

    def locate(self, key: str) -> str:
        """See `_base.Store`."""
        return f"{self.url.rstrip('/') if not self.url.endswith('://') else self.url}{'' if self.url.endswith('://') else '/'}{check_key(key)}"

    def child(self, prefix: str) -> "Store":
        """See `_base.Store`."""
        return Store(_join(self._address, check_key(prefix)))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """See `_base.Store`."""
        fs, path = self._path(key)
        size = self.size(key)
        with _explained(self.locate(key)):
            if size is None:
                raise ObjectMissing(f"no such object: {self.locate(key)}")
            end = size if length is None else min(size, start + length)
            data: bytes = fs.cat_file(path, start=start, end=end) if start < end else b""
        return data
