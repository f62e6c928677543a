"""Rows in archive order -> shards of a bounded size, one open at a time.

Where a shard ends depends on its own rows only. So a run that goes on behind the committed shards cuts where a run that nobody stopped would have cut.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from dataset_assets.errors import SourceError
from dataset_assets.pipelines.download.rows import Tally
from dataset_assets.pipelines.stage._rows import Made
from dataset_assets.records.shards import ShardFile, ShardRecord
from dataset_assets.shards.commits import write_record
from dataset_assets.shards.formats.webdataset import Writer
from dataset_assets.shards.naming import shard_name
from dataset_assets.shards.writer import WriterOptions
from dataset_assets.storage.store import Store

_DIGITS = 5
_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """What the shards of a partition have in common."""

    schema: pa.Schema
    parts: tuple[str, ...]
    fingerprint: str
    max_bytes: int  # of payloads and parts, with their headers
    max_samples: int  # rows


class Body(Protocol):
    """Where the samples of one shard go. Nothing counts before `commit`, and a record."""

    def size_of(self, made: Made) -> int:
        """Return the bytes that a sample takes."""

    def write(self, made: Made) -> None:
        """Append a row with its sample."""

    def commit(self) -> tuple[ShardFile, ...]:
        """Make everything durable and visible."""

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""


class TarBody:
    """A tar with its sidecar."""

    def __init__(self, store: Store, name: str, plan: ShardPlan) -> None:
        self._writer = Writer(store, WriterOptions(name=name, schema=plan.schema, parts=plan.parts))
        self.commit, self.discard = self._writer.commit, self._writer.discard

    def size_of(self, made: Made) -> int:
        """See `Body`."""
        members = ([] if made.row.payload is None else [made.row.payload]) + list(
            made.row.parts.values()
        )
        return sum(_BLOCK + len(data) + -len(data) % _BLOCK for data in members)

    def write(self, made: Made) -> None:
        """See `Body`."""
        self._writer.write(made.row)


class _OpenShard:
    """One shard on its way."""

    def __init__(self, store: Store, shard_id: int, plan: ShardPlan, body: Body) -> None:
        self._store, self._id, self._plan, self.body = store, shard_id, plan, body
        self._keys: set[str] = set()
        self._tally = Tally()
        self._bytes = 0
        self._started = time.time()

    def has_room(self, made: Made) -> bool:
        """Tell whether a row belongs into this shard. The first one always does."""
        if not self._keys:
            return True
        return (
            len(self._keys) < self._plan.max_samples
            and self._bytes + self.body.size_of(made) <= self._plan.max_bytes
        )

    def add(self, made: Made) -> None:
        row = made.row
        if row.key in self._keys:
            raise SourceError(
                f"{row.columns['path']}: another image of the partition has the key {row.key!r} too; expected names that differ"
            )
        self._keys.add(row.key)
        self._bytes += self.body.size_of(made)
        self._tally.bytes_downloaded += len(row.payload or b"")
        self._tally.add(row)
        self.body.write(made)

    def commit(self) -> ShardRecord:
        """Make the files visible, then the record: from here on the shard exists."""
        files = self.body.commit()
        now = time.time()
        record = ShardRecord(
            duration=now - self._started,
            start_time=self._started,
            end_time=now,
            name=shard_name(self._id, _DIGITS),
            shard_id=self._id,
            fingerprint=self._plan.fingerprint,
            files=files,
            bytes_stored=sum(file.bytes for file in files),
            **self._tally.counts(),
        )
        write_record(self._store, record)
        return record


def write_shards(
    rows: Iterator[Made],
    store: Store,
    plan: ShardPlan,
    open_body: Callable[[Store, str, ShardPlan], Body],
    *,
    first: int,
    wrote: Callable[[], None],
) -> int:
    """Cut rows into shards, numbered from `first`, and commit them; return how many. `wrote` is called after each row.

    Raises:
        SourceError: two images of a shard have the same key.
    """
    shard_id, shard = first, None
    with ExitStack() as undo:
        for made in rows:
            if shard is not None and not shard.has_room(made):
                shard.commit()
                shard, shard_id = None, shard_id + 1
            if shard is None:
                shard = _OpenShard(
                    store, shard_id, plan, open_body(store, shard_name(shard_id, _DIGITS), plan)
                )
                undo.pop_all()
                undo.callback(shard.body.discard)
            shard.add(made)
            wrote()
        if shard is not None:
            shard.commit()
            shard_id += 1
    return shard_id - first
