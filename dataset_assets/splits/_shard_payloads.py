"""Reads payloads out of committed shards, one at a time and in any order; in the order of the shards it is fast."""

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.shards import ShardFile
from dataset_assets.shards.formats.parquet import payload_column
from dataset_assets.storage.store import Store


class Place(NamedTuple):
    """Where a payload lies."""

    store: Store
    file: ShardFile
    key: str  # in its set
    extension: str
    row: int
    offset: int | None
    bytes: int


class PayloadReader:
    """Remembers one row group of the format `parquet`, and nothing of the others."""

    def __init__(self) -> None:
        self._rows: _PayloadRows | None = None

    def read(self, place: Place) -> bytes:
        """Return a payload.

        Raises:
            ObjectMissing, ShardCorrupt: the shard is no longer what it was.
        """
        payload = self._read(place)
        if len(payload) != place.bytes:
            raise ShardCorrupt(
                f"{place.store.locate(place.file.name)}: sample {place.key} has {len(payload)} bytes, expected {place.bytes}"
            )
        return payload

    def _read(self, place: Place) -> bytes:
        if place.offset is not None:
            return place.store.read(place.file.name, place.offset, place.bytes)
        if place.file.sha256 is None:  # a folder of files
            return place.store.read(f"{place.file.name}/{place.key}.{place.extension}")
        if self._rows is None or not self._rows.are_of(place):
            self._rows = None  # before the next ones are there, not after
            self._rows = _PayloadRows(place)
        return self._rows.read(place.row)


class _PayloadRows:
    """Payloads of a shard in the format `parquet`, by row. Holds one row group."""

    def __init__(self, place: Place) -> None:
        self._store, self._file = place.store, place.file
        self._column = payload_column(place.store, place.file)
        self._first = self._next = 0
        self._payloads: pa.ChunkedArray = None

    def are_of(self, place: Place) -> bool:
        """Tell whether a payload lies in this shard."""
        return (place.store.url, place.file.name) == (self._store.url, self._file.name)

    def read(self, row: int) -> bytes:
        """Return the payload of a row."""
        if not self._first <= row < self._next:
            self._payloads = None  # before the next one is there, not after
            self._load(row)
        return self._payloads[row - self._first].as_py() or b""

    def _load(self, row: int) -> None:
        with self._store.open_read(self._file.name) as file:
            try:
                table = pq.ParquetFile(file)
                group, first, rows = _group_of(table.metadata, row)
                self._payloads = table.read_row_group(
                    group, columns=[self._column], use_threads=False
                ).column(0)
            except (pa.ArrowException, OSError, IndexError) as exc:
                raise ShardCorrupt(f"{self._file.name}: row {row} can not be read: {exc}") from exc
        self._first, self._next = first, first + rows


def _group_of(metadata: Any, row: int) -> tuple[int, int, int]:
    """Return number, first row and rows of the row group that has a row."""
    first = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < first + rows:
            return group, first, rows
        first += rows
    raise IndexError(f"the file has {first} rows")
