"""Reading the bytes of one sample: in place, from the cache, or by one request."""

import os
from collections.abc import Callable

from dataset_assets.errors import ShardCorrupt
from dataset_assets.loaders.samples.cache import ShardCache
from dataset_assets.loaders.samples.rows import Rows
from dataset_assets.loaders.samples.shard_rows import MemberRange, ShardRows
from dataset_assets.storage.stores import local

_MAX_OPEN = 64  # shards of a local store, per process


def is_cacheable(rows: Rows) -> bool:
    """Return whether the samples are in shards of a remote store."""
    shards = rows.in_shards()
    return shards is not None and not isinstance(shards.store, local.Store)


def open_reader(
    rows: Rows,
    cache: ShardCache | None,
    parts: tuple[str, ...] | None,
    on_download: Callable[[int], None],
) -> "SampleReader":
    """Return the fastest reader of a set.

    Args:
        rows: the samples.
        cache: for shards of remote stores. None: each sample is one request.
        parts: extensions of the members to read beside the payload. None: all.
        on_download: called with the size of each shard that reading a sample has downloaded.
    """
    shards = rows.in_shards()
    if shards is not None and not is_cacheable(shards):
        return LocalReader(shards, parts)
    if shards is not None and cache is not None:
        return CachedReader(shards, parts, cache, on_download)
    return SampleReader(rows, parts)


class SampleReader:
    """Reads each sample by itself. Picklable; `read` is for one thread, `fetch` for any number."""

    def __init__(self, rows: Rows, parts: tuple[str, ...] | None) -> None:
        self.rows = rows
        self.parts = parts

    @property
    def prefetches(self) -> bool:
        """Whether shards can be fetched ahead."""
        return False

    def read(self, index: int) -> dict[str, bytes]:
        """Return the members of a sample: `PAYLOAD`, and its parts.

        Raises:
            ShardCorrupt, ObjectMissing, StorageError: the shard cannot be read; the message names
                it.
        """
        return self.rows.read(index, self.parts)

    def fetch(self, shard: int) -> int:
        """Download a shard unless it is cached; return the bytes that were downloaded."""
        return 0

    def release(self, shard: int) -> None:
        """Note that a shard will not be read again in this epoch."""


class LocalReader(SampleReader):
    """Reads shards of a local store in place."""

    rows: ShardRows

    def __init__(self, rows: ShardRows, parts: tuple[str, ...] | None) -> None:
        super().__init__(rows, parts)
        self._opened: dict[int, int] = {}  # shard -> descriptor, the last used one at the end

    def read(self, index: int) -> dict[str, bytes]:
        """Return the members of a sample.

        Raises:
            ShardCorrupt: the shard is missing, or has another size than the manifest says.
        """
        descriptor = self._descriptor(int(self.rows.shard[index]))
        return _read_members(self.rows, descriptor, index, self.parts)

    def _descriptor(self, shard: int) -> int:
        """Return a descriptor of a shard, which stays open.

        Reads at an offset do not move its position, so forked workers may share it.
        """
        descriptor = self._opened.pop(shard, None)
        if descriptor is None:
            if len(self._opened) >= _MAX_OPEN:
                os.close(self._opened.pop(next(iter(self._opened))))
            descriptor = self._open(shard)
        self._opened[shard] = descriptor
        return descriptor

    def _open(self, shard: int) -> int:
        file = self.rows.files[shard]
        where = self.rows.store.locate(file.name)
        try:
            descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as exc:
            raise ShardCorrupt(
                f"{where}: {exc.strerror}, but the manifest lists it: stage or download it again"
            ) from exc
        size = os.fstat(descriptor).st_size
        if size != file.bytes:
            os.close(descriptor)
            raise ShardCorrupt(
                f"{where} has {size} bytes, its manifest says {file.bytes}: "
                "stage or download it again"
            )
        return descriptor


class CachedReader(SampleReader):
    """Reads shards of a remote store from the cache.

    Raises:
        ConfigurationError: a shard is larger than the cache.
    """

    rows: ShardRows

    def __init__(
        self,
        rows: ShardRows,
        parts: tuple[str, ...] | None,
        cache: ShardCache,
        on_download: Callable[[int], None],
    ) -> None:
        super().__init__(rows, parts)
        self._cache = cache
        self._on_download = on_download
        for file in rows.files:
            cache.check(file)

    @property
    def prefetches(self) -> bool:
        """Whether shards can be fetched ahead."""
        return True

    def read(self, index: int) -> dict[str, bytes]:
        """Return the members of a sample; download its shard unless it is cached.

        Raises:
            ShardCorrupt, ObjectMissing, StorageError: the shard cannot be read; the message names
                it.
        """
        file = self.rows.files[self.rows.shard[index]]
        descriptor, downloaded = self._cache.open(self.rows.store, file)
        try:
            members = _read_members(self.rows, descriptor, index, self.parts)
        finally:
            os.close(descriptor)
        if downloaded:
            self._on_download(file.bytes)
        return members

    def fetch(self, shard: int) -> int:
        """Download a shard unless it is cached; return the bytes that were downloaded."""
        file = self.rows.files[shard]
        return file.bytes * self._cache.fetch(self.rows.store, file)

    def release(self, shard: int) -> None:
        """Make a shard the first to be evicted."""
        self._cache.release(self.rows.files[shard])


def _read_members(
    rows: ShardRows, descriptor: int, index: int, parts: tuple[str, ...] | None
) -> dict[str, bytes]:
    ranges = rows.member_ranges(index, parts)
    return {each[0]: _read_member(rows, descriptor, index, each) for each in ranges}


def _read_member(rows: ShardRows, descriptor: int, index: int, member: MemberRange) -> bytes:
    _, offset, length = member
    data = os.pread(descriptor, length, offset)
    if len(data) != length:
        where = rows.store.locate(rows.files[rows.shard[index]].name)
        raise ShardCorrupt(
            f"{where} ends before byte {offset + length}: stage or download it again"
        )
    return data
