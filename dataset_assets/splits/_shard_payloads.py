"""Reads payloads out of committed shards, one at a time and in any order; shard order is fast.

A shard is hashed before its first payload is read: a changed byte of a payload does not show
otherwise, and equal samples would no longer give equal splits.
"""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.shards import ShardFile
from dataset_assets.shards.verify import content_problem
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


class _RowGroup(NamedTuple):
    """The payloads of a row group of a shard in the format `parquet`."""

    shard: tuple[str, str]
    """URL of the set, and name of the file."""
    rows: range
    payloads: pa.ChunkedArray


class PayloadReader:
    """Reads payloads. Caches one row group of the format `parquet`; other formats need no cache."""

    def __init__(self) -> None:
        self._group: _RowGroup | None = None
        self._sound: set[tuple[str, str]] = set()

    def read(self, location: PayloadLocation) -> bytes:
        """Return a payload.

        Raises:
            ObjectMissing, ShardCorrupt: the shard has changed.
        """
        shard = (location.store.url, location.file.name)
        if shard not in self._sound:
            check_content(location.store, location.file)
            self._sound.add(shard)
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
        group = self._group
        shard = (store.url, file.name)
        if group is None or group.shard != shard or location.row not in group.rows:
            self._group = None  # free the old rows before the next ones are read
            group = self._group = _RowGroup(shard, *_read_group(store, file.name, location.row))
        return group.payloads[location.row - group.rows.start].as_py() or b""


def check_content(store: Store, file: ShardFile) -> None:
    """Accept a file of a shard whose bytes are those of its record.

    Raises:
        ShardCorrupt: they are not.
        ObjectMissing: there is no such file.
    """
    if problem := content_problem(store, file):
        raise ShardCorrupt(f"{store.url}: {problem}")


def _read_group(store: Store, name: str, row: int) -> tuple[range, pa.ChunkedArray]:
    """Return the rows of the row group that contains a row, and their payloads."""
    with store.open_read(name) as file:
        try:
            table = pq.ParquetFile(file)
            group, rows = _group_of(table.metadata, row)
            payload = table.schema_arrow.names[-1]
            columns = table.read_row_group(group, columns=[payload], use_threads=False)
        except (pa.ArrowException, OSError, IndexError) as exc:
            raise ShardCorrupt(f"{name}: row {row} cannot be read: {exc}") from exc
    return rows, columns.column(0)


def _group_of(metadata: pq.FileMetaData, row: int) -> tuple[int, range]:
    """Return number and rows of the row group that contains a row."""
    first = 0
    for group in range(metadata.num_row_groups):
        rows = range(first, first + metadata.row_group(group).num_rows)
        if row in rows:
            return group, rows
        first = rows.stop
    raise IndexError(f"the file has {first} rows")
