"""The bytes of one sample, from wherever its shard is: a local store in place, a remote one through the cache, or by one request without a cache."""

import os
from collections.abc import Sequence

from dataset_assets.errors import ShardCorrupt
from dataset_assets.loaders.samples.cache import ShardCache
from dataset_assets.loaders.samples.staged_rows import StagedRows
from dataset_assets.loaders.torch.metrics import Figure, Figures
from dataset_assets.storage.stores import local

_MAX_OPEN = 64  # shards of a local store, per process


def is_local(rows: StagedRows) -> bool:
    """Tell whether shards are read in place."""
    return isinstance(rows.store, local.Store)


class SampleReader:
    """Reads the samples of one set. Picklable; one thread at a time for samples, any number for `fetch`."""

    def __init__(
        self,
        rows: StagedRows,
        cache: ShardCache | None,
        figures: Figures,
        parts: tuple[str, ...] | None,
    ) -> None:
        self.rows, self._parts = rows, parts
        self._cache, self._figures = cache, figures
        self._is_local = is_local(rows)
        if cache is not None and not self._is_local:
            for file in rows.files:
                cache.check(file)
        self._opened: dict[int, int] = {}  # shard -> descriptor, the one used last behind

    @property
    def prefetches(self) -> bool:
        """Whether there is anything to fetch ahead of time."""
        return self._cache is not None and not self._is_local

    def read(self, index: int) -> dict[str, bytes]:
        """Return the members of a sample: `PAYLOAD`, and its parts.

        Raises:
            ShardCorrupt, ObjectMissing, StorageError: the shard can not be read; the message names it.
        """
        if self._is_local:
            members = self._from(self._local(int(self.rows.shard[index])), index)
        elif self._cache is None:
            members = self.rows.read(index, self._parts)
        else:
            members = self._cached(self._cache, index)
        self._figures.add_sample(sum(map(len, members.values())))
        return members

    def fetch(self, shard: int) -> int:
        """Make sure that a shard is in the cache; return the bytes downloaded for it."""
        if self._cache is None or self._is_local:
            return 0
        file = self.rows.files[shard]
        return file.bytes * self._cache.fetch(self.rows.store, file)

    def release(self, shard: int) -> None:
        """Say that a shard will not be read again in this epoch."""
        if self._cache is not None and not self._is_local:
            self._cache.release(self.rows.files[shard])

    def _cached(self, cache: ShardCache, index: int) -> dict[str, bytes]:
        file = self.rows.files[self.rows.shard[index]]
        descriptor, downloaded = cache.open(self.rows.store, file)
        try:
            members = self._from(descriptor, index)
        finally:
            os.close(descriptor)
        if downloaded:
            self._figures.add(Figure.SHARDS_DOWNLOADED, 1)
            self._figures.add(Figure.BYTES_DOWNLOADED, file.bytes)
        return members

    def _local(self, shard: int) -> int:
        """Return a descriptor of a shard that stays open. Reading at an offset moves nothing, so forked workers may share it."""
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
                f"{where}: {exc.strerror}, though the manifest names it: stage or download it again"
            ) from exc
        size = os.fstat(descriptor).st_size
        if size != file.bytes:
            os.close(descriptor)
            raise ShardCorrupt(
                f"{where} has {size} bytes, its manifest says {file.bytes}: stage or download it again"
            )
        return descriptor

    def _from(self, descriptor: int, index: int) -> dict[str, bytes]:
        return {
            name: self._member(descriptor, index, place)
            for name, *place in self.rows.places(index, self._parts)
        }

    def _member(self, descriptor: int, index: int, place: Sequence[int]) -> bytes:
        offset, length = place
        data = os.pread(descriptor, length, offset)
        if len(data) != length:
            where = self.rows.store.locate(self.rows.files[self.rows.shard[index]].name)
            raise ShardCorrupt(
                f"{where} ends before byte {offset + length}: stage or download it again"
            )
        return data
