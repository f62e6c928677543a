"""Cuts rows in archive order into shards of a bounded size, one open at a time.

Where a shard ends depends on its own rows only, so a run that resumes after the committed shards
cuts where an uninterrupted run would have.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from dataset_assets.errors import SourceError
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards.commits import Tally, write_record
from dataset_assets.shards.naming import shard_name
from dataset_assets.storage.store import Store

_DIGITS = 5
_TAR_BLOCK = 512


class ShardOutput(Protocol):
    """Where the rows of one shard go. Nothing counts before `commit`, and a record."""

    def write(self, row: Row) -> None:
        """Append a row with its sample."""

    def commit(self) -> tuple[ShardFile, ...]:
        """Make everything durable and visible."""

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """What the shards of a partition have in common."""

    check_alone: Callable[[], None]
    """Called before each commit; raises `LeaseLost` when another run has taken over."""
    open_output: Callable[[str], ShardOutput]
    """Opens the output of a shard by the name of the shard."""
    size_of: Callable[[Row], int]
    """Returns the bytes that a sample takes."""
    fingerprint: str
    max_bytes: int
    """Of the samples of a shard."""
    max_samples: int
    """Rows of a shard."""


def tar_bytes(row: Row) -> int:
    """Return the bytes of the members: a header block each, and data in whole blocks."""
    members = list(row.parts.values())
    if row.payload is not None:
        members.append(row.payload)
    return sum(_TAR_BLOCK + len(data) + -len(data) % _TAR_BLOCK for data in members)


class _OpenShard:
    """The shard that is being written."""

    def __init__(self, store: Store, shard_id: int, plan: ShardPlan) -> None:
        self._store = store
        self._shard_id = shard_id
        self._plan = plan
        self._name = shard_name(shard_id, _DIGITS)
        self._output = plan.open_output(self._name)
        self._keys: set[str] = set()
        self._tally = Tally()
        self._bytes = 0

    def has_room(self, row: Row) -> bool:
        """Tell whether a row still fits. The first one always does."""
        if not self._keys:
            return True
        if len(self._keys) >= self._plan.max_samples:
            return False
        return self._bytes + self._plan.size_of(row) <= self._plan.max_bytes

    def add(self, row: Row) -> None:
        """Write a row.

        Raises:
            SourceError: the shard has a row with this key.
        """
        if row.key in self._keys:
            raise SourceError(
                f"{row.columns['path']}: expected a key for each image, got {row.key!r} for two; "
                "give the images different names"
            )
        self._keys.add(row.key)
        self._bytes += self._plan.size_of(row)
        self._tally.bytes_downloaded += len(row.payload or b"")
        self._tally.add(row)
        self._output.write(row)

    def commit(self) -> None:
        """Make the files visible, then the record: from here on the shard exists."""
        self._plan.check_alone()
        files = self._output.commit()
        fingerprint = self._plan.fingerprint
        write_record(
            self._store, self._tally.record(self._name, self._shard_id, fingerprint, files)
        )

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._output.discard()


def write_shards(
    rows: Iterator[Row],
    store: Store,
    plan: ShardPlan,
    *,
    first: int,
    on_row: Callable[[], None],
) -> int:
    """Write rows into shards, commit each, and return how many shards that were.

    Args:
        rows: rows in archive order.
        store: folder of the partition.
        plan: what the shards have in common.
        first: number of the first shard.
        on_row: called after each row.

    Raises:
        SourceError: two images of a shard have the same key.
    """
    shard_id = first
    shard: _OpenShard | None = None
    try:
        for row in rows:
            if shard is not None and not shard.has_room(row):
                shard.commit()
                shard = None
            if shard is None:
                shard = _OpenShard(store, shard_id, plan)
                shard_id += 1
            shard.add(row)
            on_row()
        if shard is not None:
            shard.commit()
    finally:
        if shard is not None:
            shard.discard()
    return shard_id - first
