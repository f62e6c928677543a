"""Cuts rows in archive order into shards of a bounded size, one open at a time.

Where a shard ends depends on its own rows only, so a run that resumes after the committed shards
cuts where an uninterrupted run would have.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from dataset_assets.errors import SourceError
from dataset_assets.pipelines.download.rows import Tally
from dataset_assets.pipelines.stage._rows import StagedImage
from dataset_assets.records.shards import ShardFile, ShardRecord
from dataset_assets.shards.commits import write_record
from dataset_assets.shards.formats.webdataset import Writer
from dataset_assets.shards.naming import shard_name
from dataset_assets.shards.writer import WriterOptions
from dataset_assets.storage.store import Store

_DIGITS = 5
_TAR_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """What the shards of a partition have in common."""

    schema: pa.Schema
    parts: tuple[str, ...]
    fingerprint: str
    max_bytes: int
    """Of payloads and parts, with their headers."""
    max_samples: int
    """Rows of a shard."""


class ShardOutput(Protocol):
    """Where the samples of one shard go. Nothing counts before `commit`, and a record."""

    def size_of(self, image: StagedImage) -> int:
        """Return the bytes that a sample takes."""

    def write(self, image: StagedImage) -> None:
        """Append a row with its sample."""

    def commit(self) -> tuple[ShardFile, ...]:
        """Make everything durable and visible."""

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""


class TarOutput:
    """A tar with its sidecar."""

    def __init__(self, store: Store, name: str, plan: ShardPlan) -> None:
        self._writer = Writer(store, WriterOptions(name=name, schema=plan.schema, parts=plan.parts))

    def size_of(self, image: StagedImage) -> int:
        """Return the bytes of the members: a header block each, and data in whole blocks."""
        members = list(image.row.parts.values())
        if image.row.payload is not None:
            members.append(image.row.payload)
        return sum(_TAR_BLOCK + len(data) + -len(data) % _TAR_BLOCK for data in members)

    def write(self, image: StagedImage) -> None:
        """Append the members of a sample and its row."""
        self._writer.write(image.row)

    def commit(self) -> tuple[ShardFile, ...]:
        """Commit the tar and the sidecar."""
        return self._writer.commit()

    def discard(self) -> None:
        """Remove both files, unless committed."""
        self._writer.discard()


class _OpenShard:
    """The shard that is being written."""

    def __init__(self, store: Store, shard_id: int, plan: ShardPlan, output: ShardOutput) -> None:
        self._store = store
        self._shard_id = shard_id
        self._plan = plan
        self._output = output
        self._keys: set[str] = set()
        self._tally = Tally()
        self._bytes = 0
        self._started = time.time()

    def has_room(self, image: StagedImage) -> bool:
        """Tell whether a row still fits. The first one always does."""
        if not self._keys:
            return True
        if len(self._keys) >= self._plan.max_samples:
            return False
        return self._bytes + self._output.size_of(image) <= self._plan.max_bytes

    def add(self, image: StagedImage) -> None:
        """Write a row.

        Raises:
            SourceError: the shard has a row with this key.
        """
        row = image.row
        if row.key in self._keys:
            raise SourceError(
                f"{row.columns['path']}: expected a key for each image, got {row.key!r} for two; "
                "give the images different names"
            )
        self._keys.add(row.key)
        self._bytes += self._output.size_of(image)
        self._tally.bytes_downloaded += len(row.payload or b"")
        self._tally.add(row)
        self._output.write(image)

    def commit(self) -> None:
        """Make the files visible, then the record: from here on the shard exists."""
        files = self._output.commit()
        now = time.time()
        record = ShardRecord(
            duration=now - self._started,
            start_time=self._started,
            end_time=now,
            name=shard_name(self._shard_id, _DIGITS),
            shard_id=self._shard_id,
            fingerprint=self._plan.fingerprint,
            files=files,
            bytes_stored=sum(file.bytes for file in files),
            **self._tally.counts(),
        )
        write_record(self._store, record)

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._output.discard()


def write_shards(
    images: Iterator[StagedImage],
    store: Store,
    plan: ShardPlan,
    open_output: Callable[[str], ShardOutput],
    *,
    first: int,
    on_row: Callable[[], None],
) -> int:
    """Write rows into shards, commit each, and return how many shards that were.

    Args:
        images: rows in archive order.
        store: folder of the partition.
        plan: what the shards have in common.
        open_output: opens the output of a shard by the name of the shard.
        first: number of the first shard.
        on_row: called after each row.

    Raises:
        SourceError: two images of a shard have the same key.
    """
    shard_id = first
    shard: _OpenShard | None = None
    try:
        for image in images:
            if shard is not None and not shard.has_room(image):
                shard.commit()
                shard = None
            if shard is None:
                output = open_output(shard_name(shard_id, _DIGITS))
                shard = _OpenShard(store, shard_id, plan, output)
                shard_id += 1
            shard.add(image)
            on_row()
        if shard is not None:
            shard.commit()
    finally:
        if shard is not None:
            shard.discard()
    return shard_id - first
