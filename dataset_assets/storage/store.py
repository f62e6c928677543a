"""The protocol of stores, and what all of them share.

Keys are relative, use `/`, and never contain `..`, `_tmp`, a leading `/` or a backslash. Writes are
atomic: a reader sees the old object, the new one, or none, never a part. `stage` writes bytes that
stay invisible until `commit` (a temporary file and a rename on disks, a multipart upload on object
storage). Reads take ranges.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, Self

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError

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


class Staged(Protocol):
    """Bytes on their way into a store, invisible until `commit`.

    Append only, for one writer. A context manager that discards the bytes unless committed.
    """

    key: str
    bytes: int

    def write(self, data: Buffer) -> int:
        """Append.

        Raises:
            DiskFull, StorageError: the store refuses the bytes.
        """

    def writev(self, parts: Sequence[Buffer]) -> None:
        """Append several buffers in order."""

    def close(self) -> None:
        """Flush to durable storage. Idempotent; the object stays invisible."""

    def commit(self) -> None:
        """Close, then make the object visible under its key. Idempotent.

        Replaces the object that was there.
        """

    def discard(self) -> None:
        """Remove what was written. No effect after `commit`. Idempotent."""

    @property
    def sha256(self) -> str:
        """Hex digest of everything written so far."""

    def __enter__(self) -> Self:
        """Return self."""

    def __exit__(self, *exc: object) -> None:
        """Discard unless committed."""


class Store(Protocol):
    """A folder of objects at a URL."""

    url: str
    """Without credentials; `open_store(url)` returns an equal store."""

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

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, sorted by key.

        Staged objects are not listed. Not recursive: only keys without a further `/` after the
        prefix.
        """

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write an object at once.

        `durable=False` skips fsync, for objects that do not count before a later durable write.
        """

    def write_new(self, key: str, data: bytes) -> bool:
        """Write only if there is no such object; tell whether this call wrote it."""

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
        ConfigurationError: no store handles the scheme.

    Example:
        >>> store = open_store("memory://example")
        >>> store.write("a/b.txt", b"bytes")
        >>> store.read("a/b.txt", 1, 3)
        b'yte'
    """
    scheme = url.split("://", 1)[0] if "://" in url else "file"
    name = {"file": "local", "s3a": "s3"}.get(scheme, scheme)
    if not registry.has("store", name):
        name = "fsspec"
    store: Store = registry.load("store", name)(url)
    return store


class Digest:
    """A sha256 that can be disabled."""

    __slots__ = ("_hash",)

    def __init__(self, *, enabled: bool) -> None:
        self._hash = hashlib.sha256() if enabled else None

    def update(self, data: Buffer) -> None:
        """Add bytes."""
        if self._hash is not None:
            self._hash.update(data)

    def hexdigest(self) -> str:
        """Return the hex digest, or "" when disabled."""
        return self._hash.hexdigest() if self._hash is not None else ""


class StagedBytes:
    """The base of the `Staged` objects of all stores."""

    def __init__(self, key: str, *, sha256: bool) -> None:
        self.key = key
        self.bytes = 0
        self._digest = Digest(enabled=sha256)
        self._committed = False

    def writev(self, parts: Sequence[Buffer]) -> None:
        """Append several buffers in order."""
        raise NotImplementedError

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        raise NotImplementedError

    def write(self, data: Buffer) -> int:
        """Append, and return the number of bytes."""
        self.writev((data,))
        return len(data)

    @property
    def sha256(self) -> str:
        """Hex digest of everything written so far."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()
