"""Stages objects of fsspec file systems in local temporary files, and translates their errors."""

import errno
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from uuid import uuid4

from dataset_assets.errors import DatasetAssetsError, DiskFull, ObjectMissing, StorageError
from dataset_assets.redaction import redact
from dataset_assets.storage.store import TEMPORARY, Buffer, StagedBytes, check_key

ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FsspecFolder(Protocol):
    """The store that an upload goes to."""

    @property
    def is_object_storage(self) -> bool:
        """Whether uploads are invisible until they are complete."""

    def open(self) -> tuple[Any, str]:
        """Return this process's file system, and the path of the store in it."""

    def locate(self, key: str) -> str:
        """Return the address of an object."""


class FsspecUpload(StagedBytes):
    """A local temporary file that becomes an object: a `Staged` object."""

    def __init__(self, store: FsspecFolder, key: str, *, sha256: bool) -> None:
        super().__init__(check_key(key), sha256=sha256)
        self._store = store
        self._where = store.locate(key)
        self._uploaded: str | None = None  # path under _tmp/, on file systems
        self._is_closed = False
        with translate_fsspec_errors(_temporary_folder()):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives until commit or discard

    def writev(self, parts: Sequence[Buffer]) -> None:
        """Append several buffers in order."""
        if self._is_closed:
            raise StorageError(f"{self.key} is closed: nothing more can be written to it")
        with translate_fsspec_errors(_temporary_folder()):
            self._file.writelines(parts)
        for part in parts:
            self._digest.update(part)
            self.bytes += len(part)

    def close(self) -> None:
        """Upload to `_tmp/` where uploads are visible while they grow. Idempotent."""
        if self._is_closed:
            return
        with translate_fsspec_errors(self._where):
            self._file.flush()
            if not self._store.is_object_storage:
                fs, root = self._store.open()
                self._uploaded = f"{root}/{TEMPORARY}/{self.key.rpartition('/')[2]}.{uuid4().hex}"
                fs.makedirs(f"{root}/{TEMPORARY}", exist_ok=True)
                self._upload(fs, self._uploaded)
        self._is_closed = True

    def commit(self) -> None:
        """Make the object visible. Idempotent."""
        if self._committed:
            return
        self.close()
        fs, root = self._store.open()
        path = f"{root}/{self.key}"
        with translate_fsspec_errors(self._where):
            if self._uploaded is None:
                self._upload(fs, path)
            else:
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                _rename(fs, self._uploaded, path)
        self._committed = True
        self._file.close()

    def _upload(self, fs: Any, path: str) -> None:
        self._file.seek(0)
        if "memory" in fs.protocol:  # its put_file shows a growing object
            fs.pipe_file(path, self._file.read())
        else:
            fs.put_file(f"/dev/fd/{self._file.fileno()}", path)

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        if self._committed:
            return
        self._is_closed = True
        self._file.close()
        if self._uploaded is not None:
            with suppress(Exception):  # `sweep` removes it where this cannot
                self._store.open()[0].rm_file(self._uploaded)
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
