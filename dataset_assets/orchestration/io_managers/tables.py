"""Small tables that belong to no shard set: `<asset key>/[<partition>/]table.parquet`."""

from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import StorageError
from dataset_assets.orchestration.io_managers._base import StoreIOManager
from dataset_assets.storage.store import Store


class TableIOManager(StoreIOManager):
    """Passes a `pyarrow.Table`. Resource key: `tables`."""

    file_name: ClassVar[str] = "table.parquet"

    def dump(self, value: Any) -> bytes:
        """Serialize a table as Parquet."""
        if not isinstance(value, pa.Table):
            raise StorageError(f"expected a pyarrow.Table, got {type(value).__name__}")
        sink = pa.BufferOutputStream()
        pq.write_table(value, sink, compression="zstd")
        return bytes(sink.getvalue())

    def read(self, store: Store) -> pa.Table:
        """Read a table."""
        return pq.read_table(pa.BufferReader(store.read(self.file_name)))
