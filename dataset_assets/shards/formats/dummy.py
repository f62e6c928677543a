"""Writes nothing, to measure everything that comes before. The shard has a record and no files."""

from collections.abc import Iterator
from typing import ClassVar

from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards.writer import StoredSample, WriterOptions
from dataset_assets.storage.store import Store


class Writer:
    """Accepts rows and writes no file."""

    sidecar: ClassVar[bool] = False
    suffix: ClassVar[str | None] = None

    def __init__(self, store: Store, options: WriterOptions) -> None:
        pass

    def write(self, row: Row) -> None:
        pass

    def close(self) -> None:
        pass

    def commit(self) -> tuple[ShardFile, ...]:
        return ()

    def discard(self) -> None:
        pass

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[StoredSample]:
        yield from ()
