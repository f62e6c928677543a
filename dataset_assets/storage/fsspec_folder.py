"""A folder of a file system of fsspec: how it is opened and written to, and its errors."""

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import fsspec

from dataset_assets.errors import (
    ConfigurationError,
    DatasetAssetsError,
    DiskFull,
    MissingDependency,
    ObjectMissing,
    StorageError,
)
from dataset_assets.redaction import redact
from dataset_assets.storage.store import TEMPORARY, Buffer, Staged, check_key

ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


CONDITIONAL = {"memory", "gs", "gcs", "abfs", "abfss", "az"}
"""Schemes of stores that can create an object only if there is none."""
_OBJECT_STORAGE = CONDITIONAL | {"adl", "oss", "obs"}
"""Schemes of stores where an upload is invisible until it is complete and replaces at once."""


class FsspecFolder:
    """A folder of a file system of fsspec, at a URL. `url` has no password; the folder keeps it."""

    def __init__(self, url: str) -> None:
        self._address = url if url.endswith("://") else url.rstrip("/")
        self._scheme = url.split("://", 1)[0]
        self._opened: tuple[int, Any, str] | None = None
        self.url = redact(self._address)
        _check_installed(self._scheme)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    @property
    def is_object_storage(self) -> bool:
        """Whether uploads are invisible until they are complete."""
        return self._scheme in _OBJECT_STORAGE

    def open(self) -> tuple[Any, str]:
        """Return this process's file system, and the path of this folder in it.

        Raises:
            StorageError: the file system cannot be reached.
        """
        if self._opened is None or self._opened[0] != os.getpid():
            with translate_fsspec_errors(self.url):
                fs, root = fsspec.core.url_to_fs(self._address)
            self._opened = os.getpid(), fs, root.rstrip("/")
        return self._opened[1:]

    def locate(self, key: str) -> str:
        """Return the address of an object, without a password."""
        return redact(self._address_of(key))

    def _address_of(self, key: str) -> str:
        separator = "" if self._address.endswith("://") else "/"
        return f"{self._address}{separator}{check_key(key)}"

    def _path(self, key: str) -> tuple[Any, str]:
        fs, root = self.open()
        return fs, f"{root}/{check_key(key)}"


def _check_installed(scheme: str) -> None:
    for name in scheme.split("::"):
        try:
            fsspec.get_filesystem_class(name)
        except ImportError as exc:
            raise MissingDependency(
                f"{scheme}:// needs a package that is not installed: {exc}"
            ) from exc
        except ValueError as exc:
            known = ", ".join(sorted(fsspec.available_protocols()))
            raise ConfigurationError(
                f"expected a folder, or a URL with one of the schemes {known}, got {scheme}://"
            ) from exc


class FsspecUpload(Staged):
    """A local temporary file that becomes an object."""

    def __init__(self, folder: FsspecFolder, key: str, *, sha256: bool) -> None:
        super().__init__(check_key(key), sha256=sha256)
        self._folder = folder
        self._where = folder.locate(key)
        self._uploaded: str | None = None  # path under _tmp/, on file systems
        with translate_fsspec_errors(_temporary_folder()):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives until commit or discard

    def _append(self, parts: Sequence[Buffer]) -> None:
        with translate_fsspec_errors(_temporary_folder()):
            self._file.writelines(parts)

    def _flush(self) -> None:
        """Upload to `_tmp/` where uploads are visible while they grow."""
        with translate_fsspec_errors(self._where):
            self._file.flush()
            if not self._folder.is_object_storage:
                fs, root = self._folder.open()
                self._uploaded = f"{root}/{TEMPORARY}/{self.key.rpartition('/')[2]}.{uuid4().hex}"
                fs.makedirs(f"{root}/{TEMPORARY}", exist_ok=True)
                self._upload(fs, self._uploaded)

    def _publish(self) -> None:
        fs, root = self._folder.open()
        path = f"{root}/{self.key}"
        with translate_fsspec_errors(self._where):
            if self._uploaded is None:
                self._upload(fs, path)
            else:
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                _rename(fs, self._uploaded, path)
        self._file.close()

    def _upload(self, fs: Any, path: str) -> None:
        self._file.seek(0)
        if "memory" in fs.protocol:  # its put_file shows a growing object
            fs.pipe_file(path, self._file.read())
        else:
            fs.put_file(f"/dev/fd/{self._file.fileno()}", path)

    def _remove(self) -> None:
        self._file.close()
        if self._uploaded is not None:
            with suppress(Exception):  # `sweep` removes it where this cannot
                self._folder.open()[0].rm_file(self._uploaded)
            self._uploaded = None


def _rename(fs: Any, source: str, target: str) -> None:
    try:
        fs.mv(source, target)
    except OSError:
        if not fs.exists(target):
            raise
        fs.rm_file(target)
        fs.mv(source, target)


def _temporary_folder() -> str:
    return f"the temporary folder {tempfile.gettempdir()} (TMPDIR names another)"


def describe(exc: Exception) -> str:
    """Return the text of an error without secrets of URLs."""
    return redact(str(exc)) or type(exc).__name__


@contextmanager
def translate_fsspec_errors(where: str, *, reads: bool = False) -> Iterator[None]:
    """Raise errors of this package, with advice, for any error of a file system.

    Raises:
        ObjectMissing: when something is read that does not exist.
        DiskFull, StorageError: all other errors.
    """
    try:
        yield
    except DatasetAssetsError:
        raise
    except Exception as exc:
        if reads and isinstance(exc, ABSENT):
            raise ObjectMissing(f"no such object: {where}") from exc
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space left for {where}; committed objects are kept: free some space and run "
                "again to resume"
            ) from exc
        raise StorageError(f"{where}: {describe(exc)}") from exc
