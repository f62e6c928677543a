"""A cache of whole shards in a local folder, shared by all loaders, ranks and workers of a machine.

    <folder>/<sha256>.tar     a complete shard; its modification time is its last use
    <folder>/<sha256>.part    a download in progress, of the final size, so that the limit counts it
    <folder>/locks/...        flocks: who downloads a shard, who makes room. The kernel releases
                              those of a process that has exited

Names are hashes of the content, so a set that is staged again or copied elsewhere is neither mixed
up nor downloaded twice. One process downloads a shard, others that need it wait. A shard that is
evicted while it is read stays readable until the read ends. The folder never exceeds its limit.
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
from dataset_assets.storage.posix import translate_os_errors, write_all
from dataset_assets.storage.store import Store

logger = logging.getLogger(__name__)

DEFAULT_FOLDER = "~/.cache/dataset_assets/shards"

_DONE = ".tar"
_PART = ".part"
_CHUNK = 1 << 20  # bytes
_POLL_S = 0.05
_ATTEMPTS = 2  # for content that differs from the manifest

#: Descriptors of downloads and locks. Forked children close them: they would keep the space of an
#: evicted shard.
_descriptors: set[int] = set()


def _close_inherited() -> None:
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_inherited)


class ShardCache:
    """Shards in a local folder. Picklable; safe for any number of threads and processes.

    Args:
        folder: created if it does not exist.
        max_bytes: limit of everything in it.
        verify: compare the sha256 of each download with the manifest.

    Raises:
        ConfigurationError: the folder cannot be created.
    """

    def __init__(self, folder: str | Path, max_bytes: int, *, verify: bool = True) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.max_bytes = max_bytes
        self._verify = verify
        try:
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigurationError(
                f"cache_dir: cannot create {self.folder}: {exc.strerror}; choose another folder"
            ) from exc

    def open(self, store: Store, file: ShardFile) -> tuple[int, bool]:
        """Return a descriptor of a shard, and whether it was downloaded. The caller closes it.

        Raises:
            ShardCorrupt: the size or the content differs from the manifest.
            ObjectMissing: the shard does not exist.
            DiskFull, StorageError: there is no space, or the store cannot be read.
            ConfigurationError: the shard is larger than the cache.
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
        """Check that a shard is not larger than the cache.

        Raises:
            ConfigurationError: it is.
        """
        if file.bytes > self.max_bytes:
            raise ConfigurationError(
                f"cache_bytes: {self.max_bytes} is less than one shard, {file.name} with "
                f"{file.bytes} bytes; raise it, or set it to 0 to read each sample by itself"
            )

    def fetch(self, store: Store, file: ShardFile) -> bool:
        """Download a shard unless it is cached; return whether it was downloaded.

        Raises what `open` raises.
        """
        descriptor, downloaded = self.open(store, file)
        os.close(descriptor)
        return downloaded

    def release(self, file: ShardFile) -> None:
        """Make a shard the first to be evicted, unless it is used again before."""
        with suppress(FileNotFoundError, PermissionError):
            os.utime(self._path(file), (0, 0))

    def used_bytes(self) -> int:
        """Return the size of all shards and downloads."""
        with self._lock("space"):
            return sum(size for _, _, size in self._entries())

    def _path(self, file: ShardFile) -> Path:
        self.check(file)
        name = file.sha256 or hashlib.sha256(f"{file.name} {file.bytes}".encode()).hexdigest()
        return self.folder / f"{name}{_DONE}"

    def _open(self, path: Path, file: ShardFile) -> int | None:
        """Open a cached shard and update its last use; return None if it is not cached."""
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
        """Return a descriptor of the shard: the file itself may be evicted at any moment."""
        part = path.with_suffix(_PART)
        problem = ""
        for attempt in range(_ATTEMPTS):
            with translate_os_errors(part):
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
                    _close(descriptor)
                    part.unlink(missing_ok=True)
            logger.warning("%s%s", problem, "; reading it again" if attempt == 0 else "")
        raise ShardCorrupt(f"{problem}; stage or download it again")

    def _copy(self, store: Store, file: ShardFile, descriptor: int) -> str:
        """Copy the object in one request; return what is wrong with it, or ""."""
        where = store.locate(file.name)
        digest = hashlib.sha256()
        position = 0
        try:
            with store.open_read(file.name) as source:
                while chunk := source.read(min(_CHUNK, file.bytes - position) or 1):
                    position += len(chunk)
                    if position > file.bytes:
                        return f"{where} has more than the {file.bytes} bytes of its manifest"
                    with translate_os_errors(self.folder):
                        write_all(descriptor, [chunk])
                    if self._verify:
                        digest.update(chunk)
        except ObjectMissing as exc:
            raise ObjectMissing(
                f"shard {file.name} of {store.url} does not exist, but the manifest lists it: "
                "stage or download it again"
            ) from exc
        if position != file.bytes:
            return f"{where} ends at byte {position}, its manifest says {file.bytes} bytes"
        if self._verify and file.sha256 and digest.hexdigest() != file.sha256:
            return f"{where} differs from the sha256 in its manifest"
        return ""

    def _reserve(self, part: Path, size: int) -> int:
        """Make room, and create a file of the final size."""
        while True:
            with self._lock("space"):
                # left by a process that has exited: we hold the lock of this download
                part.unlink(missing_ok=True)
                if self._make_room(size):
                    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                    descriptor = os.open(part, flags, 0o644)
                    _descriptors.add(descriptor)
                    os.ftruncate(descriptor, size)
                    return descriptor
            # downloads of others hold all the space; complete ones can be evicted
            time.sleep(_POLL_S)

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
        """Yield (last use, path, bytes)."""
        for entry in os.scandir(self.folder):
            if entry.name.endswith((_DONE, _PART)):
                with suppress(FileNotFoundError):
                    found = entry.stat()
                    yield found.st_mtime, Path(entry.path), found.st_size

    @contextmanager
    def _lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock between processes and threads; yield whether it is held."""
        path = self.folder / "locks" / name
        with translate_os_errors(path):
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
                # closing alone is not enough: a child that is being forked may have it too
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            _close(descriptor)


def _close(descriptor: int) -> None:
    _descriptors.discard(descriptor)
    os.close(descriptor)
