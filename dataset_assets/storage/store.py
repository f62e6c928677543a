"""The protocol of stores, and what all of them share.

Keys are relative, use `/`, and never contain `..`, `_tmp`, a leading `/` or a backslash. Writes are
atomic: a reader sees the old object, the new one, or none, never a part. `stage` writes bytes that
stay invisible until `commit` (a temporary file and a rename on disks, a multipart upload on object
storage). Reads take ranges.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, Self

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, StorageError

Buffer = bytes | bytearray | memoryview

TEMPORARY = "_tmp"
"""The folder in which stores keep what is not committed yet. Never listed."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object."""

    key: str
    bytes: int
    modified: float
    """Seconds since the epoch; 0 when the store does not say."""


class Staged(ABC):
    """Bytes on their way into a store, invisible until `commit`.

    Append only, for one writer. A context manager that discards the bytes unless committed. What
    differs between stores is in the methods with an underscore.
    """

    def __init__(self, key: str, *, sha256: bool) -> None:
        self.key = key
        self.bytes = 0
        self._digest = hashlib.sha256() if sha256 else None
        self._is_closed = False
        self._is_committed = False

    @abstractmethod
    def _append(self, parts: Sequence[Buffer]) -> None:
        """Write buffers in order."""

    @abstractmethod
    def _flush(self) -> None:
        """Make the bytes durable, still invisible."""

    @abstractmethod
    def _publish(self) -> None:
        """Make the object visible."""

    @abstractmethod
    def _remove(self) -> None:
        """Remove the bytes. Idempotent."""

    def write(self, data: Buffer) -> int:
        """Append, and return the number of bytes.

        Raises:
            DiskFull, StorageError: the store refuses the bytes.
        """
        self.writev((data,))
        return len(data)

    def writev(self, parts: Sequence[Buffer]) -> None:
        """Append several buffers in order."""
        if self._is_closed:
            raise StorageError(f"{self.key} is closed: nothing more can be written to it")
        self._append(parts)
        for part in parts:
            self.bytes += len(part)
            if self._digest is not None:
                self._digest.update(part)

    def close(self) -> None:
        """Flush to durable storage. Idempotent; the object stays invisible."""
        if not self._is_closed:
            self._flush()
            self._is_closed = True

    def commit(self) -> None:
        """Close, then make the object visible under its key. Idempotent.

        Replaces the object that was there.
        """
        if not self._is_committed:
            self.close()
            self._publish()
            self._is_committed = True

    def discard(self) -> None:
        """Remove what was written. No effect after `commit`. Idempotent."""
        if not self._is_committed:
            self._is_closed = True
            self._remove()

    @property
    def sha256(self) -> str:
        """Hex digest of everything written so far; "" when it is not computed."""
        return self._digest.hexdigest() if self._digest is not None else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()


class Store(Protocol):
    """A folder of objects at a URL.

    The stores of this package inherit from it what is the same everywhere.
    """

    url: str
    """Without credentials; `open_store(url)` returns an equal store."""

    def __repr__(self) -> str:
        return f"{type(self).__module__}.Store({self.url!r})"

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Read an object, or `length` bytes of it from `start`.

        Raises:
            ObjectMissing: there is none.
        """

    def open_read(self, key: str) -> BinaryIO:
        """Open an object for seekable reading.

        Raises:
            ObjectMissing: there is none.
        """

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known about an object, or None when there is none."""

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, or None when there is none."""
        found = self.info(key)
        return found.bytes if found else None

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, sorted by key.

        Staged objects are not listed. Not recursive: only keys without a further `/` after the
        prefix.
        """

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write an object at once.

        `durable=False` skips fsync, for objects that do not count before a later durable write.
        """
        with self.stage(key, sha256=False) as staged:
            staged.write(data)
            staged.commit()

    def write_new(self, key: str, data: bytes) -> bool:
        """Write only if there is no such object; tell whether this call wrote it.

        This one looks first, so that two writers in the same instant may both win. A store whose
        server can do better overrides it.
        """
        if self.size(key) is not None:
            return False
        self.write(key, data)
        return True

    def stage(self, key: str, *, sha256: bool = True) -> Staged:
        """Start writing an object that becomes visible when committed."""

    def delete(self, key: str) -> None:
        """Delete an object. No error when there is none."""

    def delete_tree(self, prefix: str) -> None:
        """Delete every object below `prefix`, also staged ones. `""` empties the store."""

    def sweep(self, older_than_s: float) -> int:
        """Delete staged objects that are older than this, left by dead writers; return how many."""

    def check_writable(self) -> None:
        """Prove that writes work, before any work is done.

        Raises:
            NotWritable: they do not.
        """

    def child(self, prefix: str) -> "Store":
        """Return the store one folder down."""

    def locate(self, key: str) -> str:
        """Return the address at which a person or another tool can open an object."""


def check_key(key: str) -> str:
    """Return a key that stays below its store.

    Raises:
        ConfigurationError: it does not.
    """
    parts = key.split("/")
    if "\\" in key or "\0" in key or any(part in ("", ".", "..", TEMPORARY) for part in parts):
        raise ConfigurationError(
            f"key: expected relative parts separated by '/', without '..' and {TEMPORARY!r}, "
            f"got {key!r}"
        )
    return key


def open_store(url: str) -> Store:
    """Open the store at a path or URL. Nothing is created.

    Args:
        url: a path, or a URL of any scheme that a plug-in of `stores/` or fsspec handles.

    Raises:
        ConfigurationError: no store handles the scheme, or the text is empty.

    Example:
        >>> store = open_store("memory://example")
        >>> store.write("a/b.txt", b"bytes")
        >>> store.read("a/b.txt", 1, 3)
        b'yte'
    """
    if not url:  # an unset variable of a shell: the files would land in the working folder
        raise ConfigurationError("expected a path or URL of a folder, got an empty text; name one")
    scheme = url.split("://", 1)[0] if "://" in url else "file"
    name = {"file": "local", "s3a": "s3"}.get(scheme, scheme)
    if not registry.has("store", name):
        name = "fsspec"
    store: Store = registry.load("store", name)(url)
    return store
