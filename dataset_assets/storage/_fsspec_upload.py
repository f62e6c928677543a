"""A local temporary file that becomes an object of an fsspec file system. What `fsspec` stages with."""

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


class Target(Protocol):
    """The store that an upload goes to."""

    @property
    def is_object_storage(self) -> bool:
        """Whether uploads are invisible until they are complete."""

    def open(self) -> tuple[Any, str]:
        """Return this process's file system, and the path of the store in it."""

    def locate(self, key: str) -> str:
        """Return the address of an object."""


class Upload(StagedBytes):
    """A local temporary file that becomes an object. See `_base.Staged`."""

    def __init__(self, store: Target, key: str, *, sha256: bool) -> None:
        super().__init__(check_key(key), sha256=sha256)
        self._store, self._where = store, store.locate(key)
        self._uploaded: str | None = None  # path under _tmp/, on file systems
        self._is_closed = False
        with explained(f"the temporary folder {tempfile.gettempdir()} (TMPDIR names another)"):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives until commit or discard

    def writev(self, parts: Sequence[Buffer]) -> None:
        """See `_base.Staged`."""
        if self._is_closed:
            raise StorageError(f"{self.key} is closed: nothing more can be written to it")
        with explained(f"the temporary folder {tempfile.gettempdir()} (TMPDIR names another)"):
            self._file.writelines(parts)
        for part in parts:
            self._digest.update(part)
            self.bytes += len(part)

    def close(self) -> None:
        """See `_base.Staged`."""
        if self._is_closed:
            return
        with explained(self._where):
            self._file.flush()
            if not self._store.is_object_storage:
                fs, root = self._store.open()
                self._uploaded = f"{root}/{TEMPORARY}/{self.key.rpartition('/')[2]}.{uuid4().hex}"
                fs.makedirs(f"{root}/{TEMPORARY}", exist_ok=True)
                self._upload(fs, self._uploaded)
        self._is_closed = True

    def commit(self) -> None:
        """See `_base.Staged`."""
        if self._committed:
            return
        self.close()
        fs, root = self._store.open()
        path = f"{root}/{self.key}"
        with explained(self._where):
            if self._uploaded is None:
                self._upload(fs, path)
            else:
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                _rename(fs, self._uploaded, path)
        self._committed = True
        self._file.close()

    def _upload(self, fs: Any, path: str) -> None:
        self._file.seek(0)
        if "memory" in fs.protocol:  # its put_file shows what it has copied so far
            fs.pipe_file(path, self._file.read())
        else:
            fs.put_file(f"/dev/fd/{self._file.fileno()}", path)

    def discard(self) -> None:
        """See `_base.Staged`."""
        if self._committed:
            return
        self._is_closed = True
        self._file.close()
        if self._uploaded is not None:
            with suppress(Exception):  # `sweep` removes it when this can not
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


def describe(exc: Exception) -> str:
    """Return the text of an error, which may have a url in it."""
    return redact(str(exc)) or type(exc).__name__


@contextmanager
def explained(where: str, *, reads: bool = False) -> Iterator[None]:
    """Turn any error of a file system into one that says where and what to do."""
    try:
        yield
    except DatasetAssetsError:
        raise
    except Exception as exc:
        if reads and isinstance(exc, ABSENT):
            raise ObjectMissing(f"no such object: {where}") from exc
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space left for {where}; committed objects are intact: free some space and run again to go on"
            ) from exc
        raise StorageError(f"{where}: {describe(exc)}") from exc
