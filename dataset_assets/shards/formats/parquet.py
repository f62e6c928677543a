"""One Parquet file per shard: the metadata of all rows and, as the last column, the payload.

The payload column is named after its extension and is null for failed rows. Row groups hold at most
100 rows, as those of img2dataset, and about 64 MiB of payload, which bounds the memory of the
writer and of readers.
"""

from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa

from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards.sidecar import SUFFIX, ShardTable, read_schema, read_table, row_values
from dataset_assets.shards.writer import StoredSample, WriterOptions, refuse_parts, reserve_columns
from dataset_assets.storage.store import Store

GROUP_ROWS = 100
GROUP_BYTES = 64 << 20


class Writer:
    """Writes rows and payloads into one table."""

    sidecar: ClassVar[bool] = False
    suffix: ClassVar[str | None] = SUFFIX

    def __init__(self, store: Store, options: WriterOptions) -> None:
        refuse_parts(options, "parquet")
        reserve_columns(options, options.extension)
        self._payload = options.extension
        schema = options.table_schema.append(pa.field(options.extension, pa.binary()))
        staged = store.stage(options.name + SUFFIX)
        self._table = ShardTable(staged, schema, payload=self._payload, group_rows=GROUP_ROWS)
        self._group_bytes = 0

    def write(self, row: Row) -> None:
        size = len(row.payload) if row.payload is not None else 0
        if self._group_bytes and self._group_bytes + size > GROUP_BYTES:
            self._table.flush()
            self._group_bytes = 0
        self._group_bytes += size
        self._table.append({**row_values(row, None), self._payload: row.payload})

    def close(self) -> None:
        self._table.close()

    def commit(self) -> tuple[ShardFile, ...]:
        return (self._table.commit(),)

    def discard(self) -> None:
        self._table.discard()

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[StoredSample]:
        payload = payload_column(store, file)
        for row in read_table(store, file.name, columns=["key", payload]):
            if row[payload] is not None:
                yield StoredSample(row["key"], payload, row[payload], None)


def payload_column(store: Store, file: ShardFile) -> str:
    """Return the name of the payload column, which is the last one."""
    return str(read_schema(store, file.name).names[-1])
