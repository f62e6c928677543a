"""Whole shards of remote stores in a local folder, shared by all loaders, ranks and workers of a machine, never over a limit in bytes.

    <folder>/<sha256>.tar     a shard as its manifest says; used last: its modification time
    <folder>/<sha256>.part    one on its way, at its full size from the start, so that the limit counts it
    <folder>/locks/...        flocks: who downloads a shard, who makes room. The kernel frees those of a dead process

Names are the content's, so a set that is staged again, or lies elsewhere, is neither mixed up nor downloaded twice. One process downloads, others that
want the shard wait for it. A shard that goes while it is read stays readable until the read ends.
"""

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt
from dataset_assets.records.shards import ShardFile
from dataset_assets.storage.posix import explained, write_all
from dataset_assets.storage.store import Store

logger = logging.getLogger(__name__)

DEFAULT_FOLDER = "~/.cache/dataset_assets/shards"

_DONE, _PART = ".tar", ".part"
_CHUNK = 1 << 20  # bytes
_WAIT_S = 0.05
_ATTEMPTS = 2  # for a body that differs from its manifest

#: Descriptors of downloads and locks. A child that is forked meanwhile closes them: it would keep the space of a deleted shard.
_descriptors: set[int] = set()


def _close_inherited() -> None:
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_inherited)


class ShardCache:
    """See the module. Picklable; any number of threads and processes.

    Raises (when made):
        ConfigurationError: the folder can not be made.
    """

    def __init__(self, folder: str | Path, max_bytes: int, *, verify: bool = True) -> None:
        self.folder, self.max_bytes, self._verify = (
            Path(folder).expanduser().absolute(),
            max_bytes,
            verify,
        )
        try:
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigurationError(
                f"cache_dir: can not make {self.folder}: {exc.strerror}; choose another folder"
            ) from exc

    def open(self, store: Store, file: ShardFile) -> tuple[int, bool]:
        """Return a descriptor of a shard, to be closed by the caller, and whether it had to be downloaded.

        Raises:
            ShardCorrupt: it is missing, has another size, or other content than the manifest says.
            DiskFull, StorageError: there is no space, or the store does not answer.
            ConfigurationError: it is larger than the cache.
        """
        path = self._path(file)
        found = self._open(path, file)
        if found is not None:
            return found, False
        with self._lock(path.name):
            found = self._open(path, file)
            if found is not None:
                return found, False
            return self._download(store, file, path), True

    def check(self, file: ShardFile) -> None:
        """Check that a shard fits.

        Raises:
            ConfigurationError: it does not.
        """
        if file.bytes > self.max_bytes:
            raise ConfigurationError(
                f"cache_bytes: {self.max_bytes} is less than one shard, {file.name} with {file.bytes} bytes; "
                "raise it, or 0 to read each sample by itself"
            )

    def fetch(self, store: Store, file: ShardFile) -> bool:
        """Make sure that a shard is there; tell whether it was downloaded. Raises what `open` does."""
        descriptor, downloaded = self.open(store, file)
        os.close(descriptor)
        return downloaded

    def release(self, file: ShardFile) -> None:
        """Let a shard go first when space is needed, unless somebody reads it again before."""
        with suppress(FileNotFoundError, PermissionError):
            os.utime(self._path(file), (0, 0))

    def used_bytes(self) -> int:
        """Return the size of all that is there or on its way."""
        with self._lock("space"):
            return sum(size for _, _, size in self._entries())

    def _path(self, file: ShardFile) -> Path:
        self.check(file)
        name = file.sha256 or hashlib.sha256(f"{file.name} {file.bytes}".encode()).hexdigest()
        return self.folder / f"{name}{_DONE}"

    def _open(self, path: Path, file: ShardFile) -> int | None:
        """Open a shard that is there, and note that it was used."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if os.fstat(descriptor).st_size != file.bytes:  # not written by us, or damaged since
            os.close(descriptor)
            path.unlink(missing_ok=True)
            return None
        with suppress(PermissionError):  # the cache of another user
            os.utime(descriptor)
        return descriptor

    def _download(self, store: Store, file: ShardFile, path: Path) -> int:
        """Return a descriptor of the shard: by now others may have taken its place in the cache."""
        part, problem = path.with_suffix(_PART), ""
        for attempt in range(_ATTEMPTS):
            with explained(part):
                descriptor = self._reserve(part, file.bytes)
            try:
                problem = self._copy(store, file, descriptor)
                if not problem:
                    with self._lock("space"):  # whoever counts bytes must see one of the two names
                        part.replace(path)
                    _descriptors.discard(descriptor)
                    return descriptor
            finally:
                if descriptor in _descriptors:
                    _forget(descriptor)
                    part.unlink(missing_ok=True)
            logger.warning("%s%s", problem, "; reading it again" if attempt == 0 else "")
        raise ShardCorrupt(f"{problem}; stage or download it again")

    def _copy(self, store: Store, file: ShardFile, descriptor: int) -> str:
        """Copy the object, in one request; return what is wrong with it, or ""."""
        where, digest, position = store.locate(file.name), hashlib.sha256(), 0
        try:
            with store.open_read(file.name) as source:
                while chunk := source.read(min(_CHUNK, file.bytes - position) or 1):
                    position += len(chunk)
                    if position > file.bytes:
                        return (
                            f"{where} has more than the {file.bytes} bytes that its manifest says"
                        )
                    with explained(self.folder):
                        write_all(descriptor, [chunk])
                    if self._verify:
                        digest.update(chunk)
        except ObjectMissing as exc:
            raise ObjectMissing(
                f"shard {file.name} of {store.url} is gone, though the manifest names it: stage or download it again"
            ) from exc
        if position != file.bytes:
            return f"{where} ends at byte {position}, its manifest says {file.bytes} bytes"
        if self._verify and file.sha256 and digest.hexdigest() != file.sha256:
            return f"{where} has other content than its manifest says (sha256)"
        return ""

    def _reserve(self, part: Path, size: int) -> int:
        """Make room, and a file of the final size."""
        while True:
            with self._lock("space"):
                part.unlink(missing_ok=True)  # what a dead process left: its lock is ours now
                if self._make_room(size):
                    descriptor = os.open(
                        part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
                    )
                    _descriptors.add(descriptor)
                    os.ftruncate(descriptor, size)
                    return descriptor
            time.sleep(
                _WAIT_S
            )  # downloads of others hold all the space: when they are done it can be taken

    def _make_room(self, size: int) -> bool:
        entries = sorted(self._entries())
        excess = sum(entry for _, _, entry in entries) + size - self.max_bytes
        for _, path, entry in entries:
            if excess <= 0:
                break
            if path.suffix == _DONE or self._is_abandoned(path):
                path.unlink(missing_ok=True)
                excess -= entry
        return excess <= 0

    def _is_abandoned(self, part: Path) -> bool:
        with self._lock(part.with_suffix(_DONE).name, wait=False) as locked:
            return locked

    def _entries(self) -> Iterator[tuple[float, Path, int]]:
        """Yield (when used, path, bytes)."""
        for entry in os.scandir(self.folder):
            if entry.name.endswith((_DONE, _PART)):
                with suppress(FileNotFoundError):
                    found = entry.stat()
                    yield found.st_mtime, Path(entry.path), found.st_size

    @contextmanager
    def _lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock between processes and threads; tells whether it is held, when it does not wait."""
        path = self.folder / "locks" / name
        with explained(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _descriptors.add(descriptor)
        locked = False
        try:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                locked = True
            yield locked
        finally:
            if locked:
                fcntl.flock(
                    descriptor, fcntl.LOCK_UN
                )  # not by closing alone: a child that is being forked may have it too
            _forget(descriptor)


def _forget(descriptor: int) -> None:
    _descriptors.discard(descriptor)
    os.close(descriptor)
