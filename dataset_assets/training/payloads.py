"""Reads the bytes of samples: whole files, ranges of tars, and cells of Parquet files.

Of a Parquet file, a reader holds the payloads of one row group.
"""

import io
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.training import MediaSample, TableCell
from dataset_assets.storage.parquet import translate_parquet_errors
from dataset_assets.storage.positioned import Positioned
from dataset_assets.storage.store import Store, open_store

_BUFFER = 1 << 20
_MAX_STORES = 256


class _RowGroup(NamedTuple):
    """Payloads of a row group."""

    url: str
    column: str
    rows: range
    values: pa.ChunkedArray


class SampleReader:
    """Reads payloads in any order; the order of the source is fastest.

    Threads may share a reader. What is sent to another process opens its stores again there.

    Example:
        >>> sample = MediaSample("a", "image", "photos/a.jpg", "jpg", size=181_402)
        >>> len(SampleReader().read(sample))
        181402
    """

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}
        self._group: _RowGroup | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"_stores": {}, "_group": None}

    def read(self, sample: MediaSample) -> bytes:
        """Return the bytes of the image or video.

        Raises:
            ObjectMissing, ShardCorrupt: the source has changed since it was opened.
        """
        if sample.cell is not None:
            data = self._read_cell(sample.url, sample.cell)
        else:
            store, name = self._store_of(sample.url)
            length = None if sample.offset is None else sample.size
            data = store.read(name, sample.offset or 0, length)
        if sample.size is not None and len(data) != sample.size:
            raise ShardCorrupt(
                f"{sample.url}: expected {sample.size} bytes for the sample {sample.key}, got "
                f"{len(data)}; open the source again"
            )
        return data

    def open(self, sample: MediaSample) -> BinaryIO:
        """Open the image or video as a seekable stream, of which only what is asked for is read.

        Raises:
            ObjectMissing, ShardCorrupt: the source has changed since it was opened.
        """
        if sample.cell is not None:
            return io.BytesIO(self.read(sample))
        store, name = self._store_of(sample.url)
        if sample.offset is None:
            return store.open_read(name)
        part = _Part(store, name, sample.offset, sample.size or 0)
        return io.BufferedReader(part, _BUFFER)

    def _store_of(self, url: str) -> tuple[Store, str]:
        folder, _, name = url.rpartition("/")
        if folder not in self._stores:
            if len(self._stores) >= _MAX_STORES:
                self._stores.clear()
            self._stores[folder] = open_store(folder or "/")
        return self._stores[folder], name

    def _read_cell(self, url: str, cell: TableCell) -> bytes:
        group = self._group
        is_there = group is not None and (group.url, group.column) == (url, cell.column)
        if group is None or not is_there or cell.row not in group.rows:
            self._group = None  # free the old payloads before the next ones are read
            group = self._group = self._read_group(url, cell)
        value = group.values[cell.row - group.rows.start].as_py()
        if isinstance(value, dict):
            value = value.get("bytes")
        if not isinstance(value, bytes):
            raise ShardCorrupt(
                f"{url}: expected bytes in the column {cell.column}, row {cell.row}, got none; "
                "remove the row"
            )
        return value

    def _read_group(self, url: str, cell: TableCell) -> _RowGroup:
        store, name = self._store_of(url)
        with store.open_read(name) as opened, translate_parquet_errors(url):
            file = pq.ParquetFile(opened)
            first = 0
            for group in range(file.num_row_groups):
                rows = range(first, first + file.metadata.row_group(group).num_rows)
                if cell.row in rows:
                    table = file.read_row_group(group, columns=[cell.column], use_threads=False)
                    return _RowGroup(url, cell.column, rows, table.column(0))
                first = rows.stop
        raise ShardCorrupt(
            f"{url}: expected more than {cell.row} rows, got {first}; open the source again"
        )


class _Part(Positioned):
    """A range of an object as a stream."""

    def __init__(self, store: Store, name: str, offset: int, size: int) -> None:
        super().__init__()
        self._store = store
        self._name = name
        self._offset = offset
        self._size = size

    def size(self) -> int:
        return self._size

    def read_at(self, position: int, length: int) -> bytes:
        length = min(length, self._size - position)
        if length <= 0:
            return b""
        return self._store.read(self._name, self._offset + position, length)
