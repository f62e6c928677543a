"""Reads payloads out of committed shards, one at a time and in any order; shard order is fast."""

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.shards import ShardFile
from dataset_assets.shards.formats.parquet import payload_column
from dataset_assets.storage.store import Store


class PayloadLocation(NamedTuple):
    """Where a payload lies."""

    store: Store
    file: ShardFile
    key: str
    """Key of the sample in its set."""
    extension: str
    row: int
    offset: int | None
    bytes: int


class PayloadReader:
    """Reads payloads. Caches one row group of the format `parquet`; other formats need no cache."""

    def __init__(self) -> None:
        self._rows: _PayloadRows | None = None

    def read(self, location: PayloadLocation) -> bytes:
        """Return a payload.

        Raises:
            ObjectMissing, ShardCorrupt: the shard has changed.
        """
        payload = self._read(location)
        if len(payload) != location.bytes:
            raise ShardCorrupt(
                f"{location.store.locate(location.file.name)}: expected {location.bytes} bytes of "
                f"sample {location.key}, got {len(payload)}"
            )
        return payload

    def _read(self, location: PayloadLocation) -> bytes:
        store = location.store
        file = location.file
        if location.offset is not None:
            return store.read(file.name, location.offset, location.bytes)
        if file.sha256 is None:  # a folder of files
            return store.read(f"{file.name}/{location.key}.{location.extension}")
        if self._rows is None or not self._rows.has(location):
            self._rows = None  # free the old rows before the next ones are read
            self._rows = _PayloadRows(location)
        return self._rows.read(location.row)


class _PayloadRows:
    """Payloads of a shard in the format `parquet`, by row. Holds one row group."""

    def __init__(self, location: PayloadLocation) -> None:
        self._store = location.store
        self._file = location.file
        self._column = payload_column(location.store, location.file)
        self._first = 0
        self._next = 0
        self._payloads: pa.ChunkedArray = None

    def has(self, location: PayloadLocation) -> bool:
        """Tell whether a payload lies in this shard."""
        shard = (self._store.url, self._file.name)
        return (location.store.url, location.file.name) == shard

    def read(self, row: int) -> bytes:
        """Return the payload of a row."""
        if not self._first <= row < self._next:
            self._payloads = None  # free the old row group before the next one is read
            self._load(row)
        return self._payloads[row - self._first].as_py() or b""

    def _load(self, row: int) -> None:
        with self._store.open_read(self._file.name) as file:
            try:
                table = pq.ParquetFile(file)
                group, first, rows = _group_of(table.metadata, row)
                columns = table.read_row_group(group, columns=[self._column], use_threads=False)
            except (pa.ArrowException, OSError, IndexError) as exc:
                raise ShardCorrupt(f"{self._file.name}: row {row} cannot be read: {exc}") from exc
        self._payloads = columns.column(0)
        self._first = first
        self._next = first + rows


def _group_of(metadata: Any, row: int) -> tuple[int, int, int]:
    """Return number, first row and row count of the row group that contains a row."""
    first = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < first + rows:
            return group, first, rows
        first += rows
    raise IndexError(f"the file has {first} rows")
