"""Parquet, read by row group and only in the columns that are needed.

Specification: https://parquet.apache.org/docs/file-format/
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.urls.columns import Columns
from dataset_assets.urls.lists import BATCH_BYTES, BATCH_ROWS, ListFile, ListOptions, Notes
from dataset_assets.urls.text import open_seekable

_BUFFER = 1 << 20


class Reader:
    """Reads record batches."""

    def __init__(self, options: ListOptions) -> None:
        self._columns = Columns(options)

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """Yield the rows of a list in order."""
        notes = Notes(file.name)
        row = 1
        with (
            open_seekable(file) as stored,
            pq.ParquetFile(stored, buffer_size=_BUFFER, pre_buffer=False) as parquet,
        ):
            self._columns.check(parquet.schema_arrow.names, file.name)
            needed = self._columns.needed
            for batch in parquet.iter_batches(
                batch_size=_batch_rows(parquet.metadata, needed), columns=needed, use_threads=False
            ):
                yield self._columns.from_arrow(batch, notes, row)
                row += batch.num_rows
        notes.log()


def _batch_rows(metadata: pq.FileMetaData, needed: list[str]) -> int:
    """Return how many rows hold about `BATCH_BYTES`."""
    size = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = (group.column(index) for index in range(group.num_columns))
        size += sum(
            column.total_uncompressed_size
            for column in columns
            if column.path_in_schema.split(".")[0] in needed
        )
    return max(1, min(BATCH_ROWS, BATCH_BYTES * int(metadata.num_rows) // max(size, 1)))
