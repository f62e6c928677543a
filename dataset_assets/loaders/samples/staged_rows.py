"""Where the samples of a shard set lie, in memory: nothing else of it is, until a sample is asked for.

Works for staged partitions (`manifest.json`, `index.parquet` and `staged.json` say all) and for any shard set of the format webdataset (its sidecars do).
Numbers are NumPy arrays and texts Arrow arrays: forked workers share them, and reading them copies no page.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import MissingColumn, ObjectMissing, ShardCorrupt
from dataset_assets.loaders.samples.staged_index import (
    check_format,
    parts_of,
    read_index,
    read_sidecars,
)
from dataset_assets.records.shards import Manifest, ShardFile
from dataset_assets.records.staged import StagedDataset
from dataset_assets.shards.commits import MANIFEST, read_manifest
from dataset_assets.shards.writer import INDEX, part_columns
from dataset_assets.storage.store import Store, open_store

#: What `read` calls the payload among the members of a sample.
PAYLOAD = "payload"
INDEX_FILE = "index.parquet"
DATASET_FILE = "staged.json"

#: (member, offset in the tar, length), bytes.
Place = tuple[str, int, int]


class StagedRows:
    """The successes of all shards of a set, in shard order, then row order. Picklable.

    Raises (when made):
        ObjectMissing: there is no manifest: not a shard set, or not finished.
        ConfigurationError: its samples can not be read one by one.
        ShardCorrupt: a file is not what the manifest says.
    """

    def __init__(self, store: Store | str) -> None:
        self.store: Store = open_store(store) if isinstance(store, str) else store
        self.url = self.store.url
        self.manifest: Manifest = read_manifest(self.store)
        check_format(self.store, self.manifest)
        records = [record for record in self.manifest.shards if record.files]
        self.files: tuple[ShardFile, ...] = tuple(record.files[0] for record in records)
        self.digest = _digest(
            zip(self.files, (record.successes for record in records), strict=True)
        )  # equal for equal sets, wherever they lie
        extra = {file.name: file.sha256 for file in self.manifest.extra_files}
        staged = _extra(self.store, extra, DATASET_FILE)
        self.dataset: StagedDataset | None = (
            None if staged is None else _dataset(self.store, staged)
        )  # None: not staged by us
        index = _extra(self.store, extra, INDEX_FILE)
        self._table = (
            read_sidecars(self.store, self.manifest)
            if not index
            else read_index(self.store.locate(INDEX_FILE), index, records)
        )
        self._keys = self._table["key"].combine_chunks()
        self._extensions = (
            self._table["extension"].combine_chunks()
            if "extension" in self._table.column_names
            else None
        )
        self.shard: NDArray[np.int32] = self._table["shard"].to_numpy()
        self.counts: NDArray[np.int64] = np.bincount(self.shard, minlength=len(self.files)).astype(
            np.int64
        )
        _check_counts(self, [record.successes for record in records])
        #: Extensions that samples may have beside the payload.
        self.parts: tuple[str, ...] = (
            parts_of(self._table.column_names) if self.dataset is None else self.dataset.parts
        )
        self._places = {name: self._numbers(columns) for name, columns in self._index_columns()}

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.shard)

    def __repr__(self) -> str:
        return f"StagedRows({self.url!r}: {len(self)} samples in {len(self.files)} shards)"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that `column` takes."""
        places = {name for _, names in self._index_columns() for name in names}
        return tuple(name for name in self._table.column_names if name not in places)

    @property
    def keys(self) -> Sequence[str]:
        """All keys, as a new list."""
        return [str(key) for key in self._table["key"].to_pylist()]

    def key(self, index: int) -> str:
        """Return the key of a sample."""
        return str(self._keys[index].as_py())

    def extension(self, index: int) -> str:
        """Return the extension of the payload of a sample; "" when the set does not say."""
        return "" if self._extensions is None else str(self._extensions[index].as_py() or "")

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of the index for all samples, such as "width" or "label".

        Raises:
            MissingColumn: there is none.
        """
        self.check_columns([name])
        values: NDArray[Any] = self._table[name].to_numpy()
        return values

    def check_columns(self, names: Iterable[str]) -> None:
        """Check that there are such columns.

        Raises:
            MissingColumn: there are not.
        """
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise MissingColumn(
                f"{self.url} has no column {missing[0]!r}: expected one of {', '.join(self.columns)}"
            )

    def values(self, index: int, names: Sequence[str]) -> dict[str, Any]:
        """Return some columns of one sample."""
        return {name: self._table[name][index].as_py() for name in names}

    def places(self, index: int, parts: Sequence[str] | None = None) -> list[Place]:
        """Return where the members of a sample lie: the payload, and the parts it has (all, or those that are named)."""
        found = []
        for name in (PAYLOAD, *(self.parts if parts is None else parts)):
            offsets, lengths = self._places.get(name, (None, None))
            if offsets is not None and lengths is not None and lengths[index] >= 0:
                found.append((name, int(offsets[index]), int(lengths[index])))
        return found

    def read(self, index: int, parts: Sequence[str] | None = None) -> dict[str, bytes]:
        """Read one sample from the store in one request: `PAYLOAD`, and the parts it has (all, or those that are named).

        Raises:
            ShardCorrupt: the shard ends before.
            ObjectMissing: it is gone.
        """
        places = self.places(index, parts)
        start, end = (
            min(offset for _, offset, _ in places),
            max(offset + length for _, offset, length in places),
        )
        file = self.files[self.shard[index]]
        body = self.store.read(file.name, start, end - start)
        if len(body) != end - start:
            raise ShardCorrupt(
                f"{self.store.locate(file.name)} has no bytes {start + len(body)} to {end}: stage it again"
            )
        return {
            name: body[offset - start : offset - start + length] for name, offset, length in places
        }

    def check_shards(self) -> None:
        """Look whether all shards are there in full, by one listing.

        Raises:
            ShardCorrupt: one is missing or has another size; the message names it.
        """
        sizes = {info.key: info.bytes for info in self.store.list("", recursive=False)}
        for file in self.files:
            size = sizes.get(file.name)
            if size != file.bytes:
                came = "is missing" if size is None else f"has {size} bytes"
                raise ShardCorrupt(
                    f"{self.store.locate(file.name)} {came}, expected {file.bytes} bytes as {MANIFEST} says: stage or download it again"
                )

    def _index_columns(self) -> list[tuple[str, tuple[str, str]]]:
        return [
            (PAYLOAD, (INDEX[0].name, INDEX[1].name)),
            *((part, part_columns(part)) for part in self.parts),
        ]

    def _numbers(self, columns: tuple[str, str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return offsets and lengths; -1 where a sample has no such part."""
        present = [name for name in columns if name in self._table.column_names]
        if len(present) < len(columns):
            raise ShardCorrupt(
                f"{self.url}: the index has no column {columns[len(present)]!r}; stage it again"
            )
        offsets, lengths = (
            self._table[name].fill_null(-1).to_numpy().astype(np.int64, copy=False)
            for name in columns
        )
        return offsets, lengths


def _digest(shards: Iterable[tuple[ShardFile, int]]) -> str:
    """Return 16 hex digits of what the samples are."""
    text = json.dumps([[file.name, file.bytes, file.sha256, samples] for file, samples in shards])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _extra(store: Store, extra: Mapping[str, str | None], name: str) -> bytes | None:
    """Read one of them."""
    if name not in extra:
        return None
    try:
        data = store.read(name)
    except ObjectMissing as exc:
        raise ShardCorrupt(
            f"{store.locate(name)} is missing, though {MANIFEST} names it: stage it again"
        ) from exc
    if hashlib.sha256(data).hexdigest() != extra[name]:
        raise ShardCorrupt(
            f"{store.locate(name)} differs from what {MANIFEST} says: stage it again"
        )
    return data


def _dataset(store: Store, data: bytes) -> StagedDataset:
    try:
        return StagedDataset.from_json(data)
    except (ValueError, TypeError, KeyError) as exc:
        raise ShardCorrupt(
            f"{store.locate(DATASET_FILE)} does not describe a staged partition ({exc}); stage it again"
        ) from exc


def _check_counts(rows: StagedRows, expected: Sequence[int]) -> None:
    for file, found, count in zip(rows.files, rows.counts.tolist(), expected, strict=True):
        if found != count:
            raise ShardCorrupt(
                f"{rows.store.locate(file.name)}: the index has {found} samples, {MANIFEST} says {count}; stage it again"
            )
