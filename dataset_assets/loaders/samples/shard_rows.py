"""`ShardRows`: the index of a shard set in memory. Nothing else is read until a sample is.

Works for staged partitions (`manifest.json`, `index.parquet` and `staged.json`) and for any shard
set of the format webdataset (its sidecars). Numbers are NumPy arrays and texts are Arrow arrays:
forked workers share them, and reading them copies no page.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dataset_assets.errors import ShardCorrupt
from dataset_assets.loaders.samples.index import (
    BYTES,
    OFFSET,
    check_format,
    parts_of,
    read_index,
    read_sidecars,
)
from dataset_assets.loaders.samples.rows import PAYLOAD, check_columns
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import Manifest, ShardFile, ShardRecord
from dataset_assets.shards.commits import MANIFEST, read_manifest
from dataset_assets.shards.reading import read_extra_file
from dataset_assets.shards.writer import part_columns
from dataset_assets.staging.summary import INDEX_FILE, read_staged
from dataset_assets.storage.store import Store, open_store

#: (member, offset in the tar, length), bytes.
MemberRange = tuple[str, int, int]


class ShardRows:
    """The successful samples of all shards of a set, in shard order, then row order. Picklable.

    Args:
        store: folder of the shard set, as a store or url.

    Raises:
        ObjectMissing: there is no manifest: not a shard set, or not finished.
        ConfigurationError: its samples cannot be read one by one.
        ShardCorrupt: a file differs from the manifest.

    Example:
        >>> from dataset_assets import ShardRows
        >>> rows = ShardRows("shards")
        >>> rows.key(0), int(rows.column("width")[0])
        ('000000000', 64)
    """

    def __init__(self, store: Store | str) -> None:
        self.store: Store = open_store(store) if isinstance(store, str) else store
        self.url = self.store.url
        self.manifest: Manifest = read_manifest(self.store)
        check_format(self.store, self.manifest)
        records = [record for record in self.manifest.shards if record.files]
        self.files: tuple[ShardFile, ...] = tuple(record.files[0] for record in records)
        self.shard_bytes = tuple(file.bytes for file in self.files)
        self.digest = _digest(records)
        self.dataset = read_staged(self.store, self.manifest)
        if index := read_extra_file(self.store, self.manifest, INDEX_FILE):
            self._table = read_index(self.store.locate(INDEX_FILE), index, records)
        else:
            self._table = read_sidecars(self.store, self.manifest)
        self._keys = self._table["key"].combine_chunks()
        self._extensions: Any = None
        if "extension" in self._table.column_names:
            self._extensions = self._table["extension"].combine_chunks()
        self.shard: NDArray[np.int32] = self._table["shard"].to_numpy()
        counts = np.bincount(self.shard, minlength=len(self.files))
        self.counts: NDArray[np.int64] = counts.astype(np.int64)
        _check_counts(self, [record.successes for record in records])
        self.parts: tuple[str, ...] = (
            parts_of(self._table.column_names) if self.dataset is None else self.dataset.parts
        )
        self._ranges = {name: self._numbers(columns) for name, columns in self._index_columns()}

    def __len__(self) -> int:
        return len(self.shard)

    def __repr__(self) -> str:
        return f"ShardRows({self.url!r}: {len(self)} samples in {len(self.files)} shards)"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that `column` accepts."""
        ranges = {name for _, names in self._index_columns() for name in names}
        return tuple(name for name in self._table.column_names if name not in ranges)

    @property
    def keys(self) -> Sequence[str]:
        """All keys, as a new list."""
        return [str(key) for key in self._table["key"].to_pylist()]

    def key(self, index: int) -> str:
        """Return the key of a sample."""
        return str(self._keys[index].as_py())

    def extension(self, index: int) -> str:
        """Return the extension of the payload of a sample, "" if the set does not record it."""
        return "" if self._extensions is None else str(self._extensions[index].as_py() or "")

    def describe(self, index: int) -> str:
        """Return key and tar of a sample, for messages."""
        return f"{self.key(index)} in {self.store.locate(self.files[self.shard[index]].name)}"

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of the index for all samples, such as "width" or "label".

        Raises:
            MissingColumn: there is no such column.
        """
        check_columns(self, [name])
        values: NDArray[Any] = self._table[name].to_numpy()
        return values

    def values(self, index: int, names: Sequence[str]) -> dict[str, Any]:
        """Return some columns of one sample."""
        return {name: self._table[name][index].as_py() for name in names}

    def in_shards(self) -> Self:
        """Return these rows: their samples are ranges of shard files."""
        return self

    def member_ranges(self, index: int, parts: Sequence[str] | None = None) -> list[MemberRange]:
        """Return where the payload of a sample is, and its parts (all, or the named ones)."""
        found = []
        for name in (PAYLOAD, *(self.parts if parts is None else parts)):
            offsets, lengths = self._ranges.get(name, (None, None))
            if offsets is not None and lengths is not None and lengths[index] >= 0:
                found.append((name, int(offsets[index]), int(lengths[index])))
        return found

    def read(self, index: int, parts: Sequence[str] | None = None) -> dict[str, bytes]:
        """Read one sample in one request: `PAYLOAD`, and its parts (all, or the named ones).

        Raises:
            ShardCorrupt: the shard is too short.
            ObjectMissing: the shard does not exist any more.
        """
        ranges = self.member_ranges(index, parts)
        start = min(offset for _, offset, _ in ranges)
        end = max(offset + length for _, offset, length in ranges)
        file = self.files[self.shard[index]]
        body = self.store.read(file.name, start, end - start)
        if len(body) != end - start:
            raise ShardCorrupt(
                f"{self.store.locate(file.name)} has no bytes {start + len(body)} to {end}: "
                "stage it again"
            )
        return {
            name: body[offset - start : offset - start + length] for name, offset, length in ranges
        }

    def check_shards(self) -> None:
        """Check by one listing that all shards exist with the recorded size.

        Raises:
            ShardCorrupt: a shard is missing or has another size; the message names it.
        """
        sizes = {info.key: info.bytes for info in self.store.list("", recursive=False)}
        for file in self.files:
            size = sizes.get(file.name)
            if size != file.bytes:
                found = "is missing" if size is None else f"has {size} bytes"
                raise ShardCorrupt(
                    f"{self.store.locate(file.name)} {found}, expected {file.bytes} bytes as in "
                    f"{MANIFEST}: stage or download it again"
                )

    def _index_columns(self) -> list[tuple[str, tuple[str, str]]]:
        return [(PAYLOAD, (OFFSET, BYTES)), *((part, part_columns(part)) for part in self.parts)]

    def _numbers(self, columns: tuple[str, str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return offsets and lengths; -1 for samples without such a part."""
        missing = [name for name in columns if name not in self._table.column_names]
        if missing:
            raise ShardCorrupt(
                f"{self.url}: the index has no column {missing[0]!r}; stage it again"
            )
        try:
            offsets, lengths = (
                self._table[name].cast(pa.int64()).fill_null(-1).to_numpy() for name in columns
            )
        except pa.ArrowException as exc:
            raise ShardCorrupt(f"{self.url}: the index has impossible numbers: {exc}") from exc
        ends = np.array(self.shard_bytes, np.int64)[self.shard]
        is_absent = (lengths == -1) & (columns != (OFFSET, BYTES))
        is_inside = (
            (offsets >= 0) & (lengths >= 0) & (offsets <= ends) & (lengths <= ends - offsets)
        )
        wrong = np.flatnonzero(~(is_inside | is_absent))
        if len(wrong):
            raise ShardCorrupt(
                f"{self.url}: the index places {self.describe(int(wrong[0]))} outside of its "
                "shard; make it again"
            )
        return offsets, lengths


#: Another public name of `ShardRows`: staged partitions are one kind of shard set.
StagedRows = ShardRows


def _digest(records: Iterable[ShardRecord]) -> str:
    """Return 16 hex digits that identify the samples, wherever the set is stored."""
    files = [(record.files[0], record.successes) for record in records]
    values = [[file.name, file.bytes, file.sha256, samples] for file, samples in files]
    return fingerprint_of(values)[:16]


def _check_counts(rows: ShardRows, expected: Sequence[int]) -> None:
    for file, found, count in zip(rows.files, rows.counts.tolist(), expected, strict=True):
        if found != count:
            raise ShardCorrupt(
                f"{rows.store.locate(file.name)}: the index has {found} samples, {MANIFEST} says "
                f"{count}; stage it again"
            )
