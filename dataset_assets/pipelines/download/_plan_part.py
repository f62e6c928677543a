"""The files of one list in a plan: parquet, one row group per shard, `shards_per_file` of them in a file.

Files mean nothing until a plan names them; a list that is planned again writes the same files again.
"""

from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.pipelines.download._fingerprint import shard_fingerprint
from dataset_assets.storage.sink import Sink
from dataset_assets.storage.store import Staged, Store


class PartWriter:
    """Writes shards in order. A context manager that completes the last file, or discards it after an error."""

    def __init__(self, store: Store, prefix: str, suffix: str, shards_per_file: int) -> None:
        self.fingerprints: list[str] = []  # of each shard
        self.files: list[str] = []
        self.rows = 0
        self._store, self._shards_per_file = store, shards_per_file
        self._prefix, self._suffix = prefix, suffix
        self._open: tuple[Staged, Sink, pq.ParquetWriter] | None = None

    def add(self, shard: pa.Table) -> None:
        """Append the rows of a shard."""
        if self._open is None:
            self._open = self._start_file(shard.schema)
        self._open[2].write_table(shard, row_group_size=shard.num_rows)
        self.fingerprints.append(shard_fingerprint(shard))
        self.rows += shard.num_rows
        if len(self.fingerprints) % self._shards_per_file == 0:
            self._end_file()

    def delete(self) -> None:
        """Delete the files."""
        for name in self.files:
            self._store.delete(name)

    def _start_file(self, schema: pa.Schema) -> tuple[Staged, Sink, pq.ParquetWriter]:
        staged = self._store.stage(
            f"{self._prefix}-{len(self.files):05d}-{self._suffix}.parquet", sha256=False
        )
        sink = Sink(staged)
        kept = [
            name for name in schema.names if name not in ("url", "caption")
        ]  # these hardly repeat: a dictionary would cost time for nothing
        writer = pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"),
            schema,
            compression="zstd",
            use_dictionary=kept,
            write_statistics=False,
        )
        return staged, sink, writer

    def _end_file(self) -> None:
        if self._open is not None:
            staged, _, parquet = self._open
            parquet.close()
            staged.commit()
            self.files.append(staged.key)
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._end_file()
        elif self._open is not None:
            staged, sink, parquet = self._open
            sink.drop()
            parquet.close()
            staged.discard()
