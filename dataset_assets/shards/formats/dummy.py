"""Writes nothing: for measuring everything that comes before. The shard has a record and no files."""

from collections.abc import Iterator
from typing import ClassVar

from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards.writer import Sample, WriterOptions
from dataset_assets.storage.store import Store


class Writer:
    """See `_base.Writer`."""

    sidecar: ClassVar[bool] = False
    suffix: ClassVar[str | None] = None

    def __init__(self, store: Store, options: WriterOptions) -> None:
        pass

    def write(self, row: Row) -> None:
        """See `_base.Writer`."""

    def close(self) -> None:
        """See `_base.Writer`."""

    def commit(self) -> tuple[ShardFile, ...]:
        """See `_base.Writer`."""
        return ()

    def discard(self) -> None:
        """See `_base.Writer`."""

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[Sample]:
        """See `_base.Writer`."""
        yield from ()
