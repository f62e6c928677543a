"""`EmbeddingSet`: reads embeddings by key, by position, in batches, or as an Arrow table.

Only files that the manifest names are read, and each must carry the fingerprint of its record, so
arrays of an earlier model are never mixed in.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.embeddings.encoder import Field
from dataset_assets.embeddings.store.description import (
    FILE,
    FORMAT,
    INDEX_SUFFIX,
    TENSORS_SUFFIX,
    Description,
    tensor_name,
)
from dataset_assets.embeddings.store.tensors import TensorFile
from dataset_assets.embeddings.store.writer import INDEX_SCHEMA
from dataset_assets.errors import ConfigurationError, ShardCorrupt, SourceError
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import Manifest, ShardFile, ShardRecord
from dataset_assets.records.stored_json import parse_stored
from dataset_assets.shards.commits import read_manifest
from dataset_assets.storage.parquet import translate_parquet_errors
from dataset_assets.storage.store import Store, open_store

_REMEDY = "run embed again"
#: Rows of an Arrow batch.
_TABLE_ROWS = 16_384


class EmbeddingSet:
    """The embeddings of a set. Positions are those of samples with arrays, in source order.

    Args:
        store: a folder that `embed` has written, or its path or URL.

    Raises:
        ObjectMissing: there is no manifest: the folder is no set, or is not finished.
        ShardCorrupt: it is another kind of set, or a file does not agree with its record.

    Example:
        >>> from dataset_assets import EmbeddingSet, embed
        >>> report = embed("shards", "embeddings")
        >>> found = EmbeddingSet("embeddings")
        >>> found.read(found.keys[:2]).shape
        (2, 216)
    """

    def __init__(self, store: Store | str) -> None:
        self.store = open_store(store) if isinstance(store, str) else store
        self.manifest: Manifest = read_manifest(self.store)
        if self.manifest.output_format != FORMAT:
            raise ShardCorrupt(
                f"{self.store.url}: expected a set of embeddings, got one of "
                f"{self.manifest.output_format}; give the folder that embed has written"
            )
        self.description: Description = self._describe()
        self.fields: dict[str, Field] = self.description.arrays
        """The arrays of each sample, by name."""
        self._files: dict[int, TensorFile] = {}

    @property
    def keys(self) -> list[str]:
        """Keys of all samples with arrays."""
        found: list[str] = self._good["key"].to_pylist()
        return found

    def __len__(self) -> int:
        """Return the number of samples with arrays."""
        return int(self._good.num_rows)

    @cached_property
    def index(self) -> pa.Table:
        """Index of all samples, failed ones included, with the number of their `shard`."""
        tables = [
            self.index_of(number).append_column(
                "shard", pa.array(np.full(record.count, number, np.int32))
            )
            for number, record in enumerate(self.manifest.shards)
        ]
        empty = INDEX_SCHEMA.append(pa.field("shard", pa.int32())).empty_table()
        return pa.concat_tables([empty, *tables])

    def read(self, keys: Sequence[str], field: str | None = None) -> Any:
        """Return the arrays of samples.

        Args:
            keys: of the samples.
            field: which array; may be left out where there is one, or one is called `embedding`.

        Returns:
            (len(keys), *shape); for a ragged field, or if shapes differ, a list of arrays.
            bfloat16 is returned as float32.

        Raises:
            SourceError: a key is unknown, or its sample could not be encoded.
        """
        known = self._positions
        try:
            positions = [known[key] for key in keys]
        except KeyError as exc:
            raise SourceError(
                f"{self.store.url}: expected a known key, got {exc.args[0]!r}"
            ) from exc
        return self.take(positions, field)

    def take(self, positions: Sequence[int] | NDArray[Any], field: str | None = None) -> Any:
        """Return the arrays of samples by position; see `read`."""
        name, declared = self._field(field)
        wanted = np.asarray(positions, np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise SourceError(
                f"{self.store.url}: expected positions of 0 to {len(self) - 1}, got "
                f"{wanted.min()} to {wanted.max()}"
            )
        places = self._places[wanted]
        if len(self._groups) == 1 and not declared.is_ragged:  # no order to restore
            shard, group = self._groups[0]
            values = self.tensors_of(shard).read(tensor_name(name, group), self._rows[wanted])
            return _as_float(values, declared)
        found: list[Any] = [None] * len(wanted)
        parts: list[tuple[NDArray[np.int64], NDArray[Any]]] = []
        for code in np.unique(places):
            here = np.flatnonzero(places == code)
            shard, group = self._groups[int(code)]
            rows = self._rows[wanted[here]]
            if declared.is_ragged:
                for place, values in zip(here, self._ragged(shard, group, name, rows), strict=True):
                    found[place] = _as_float(values, declared)
            else:
                values = self.tensors_of(shard).read(tensor_name(name, group), rows)
                parts.append((here, _as_float(values, declared)))
        return found if declared.is_ragged else _combined(parts, len(wanted))

    def batches(self, size: int, field: str | None = None) -> Iterator[tuple[list[str], Any]]:
        """Yield keys and arrays of consecutive samples, `size` at a time."""
        checks.integer("size", size, low=1)
        keys = self._good["key"]
        for start in range(0, len(self), size):
            positions = np.arange(start, min(start + size, len(self)))
            yield keys.slice(start, size).to_pylist(), self.take(positions, field)

    def contents(
        self, size: int, field: str | None = None
    ) -> Iterator[tuple[list[str], list[str], Any]]:
        """Yield keys, sha256 of what was encoded, and arrays of samples, `size` at a time."""
        digests = self._good["sha256"]
        start = 0
        for keys, values in self.batches(size, field):
            yield keys, digests.slice(start, size).to_pylist(), values
            start += size

    def embedding_table(self, field: str | None = None) -> pa.Table:
        """Return keys and vectors as Arrow: `key` string, the field a FixedSizeList of float32.

        Raises:
            ConfigurationError: the arrays are not vectors of one length.
        """
        name, declared = self._field(field)
        if declared.is_ragged or len(declared.shape) != 1:
            raise ConfigurationError(
                f"field: expected vectors of one length, got {name!r} of shape {declared.shape}"
            )
        schema = pa.schema(
            [("key", pa.string()), (name, pa.list_(pa.float32(), declared.shape[0]))]
        )
        found = []
        for keys, values in self.batches(_TABLE_ROWS, name):
            flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
            vectors = pa.FixedSizeListArray.from_arrays(flat, declared.shape[0])
            found.append(pa.record_batch([pa.array(keys, pa.string()), vectors], schema=schema))
        return pa.Table.from_batches(found, schema)

    def _field(self, name: str | None) -> tuple[str, Field]:
        fields = self.fields
        if name is None:
            name = next(iter(fields)) if len(fields) == 1 else "embedding"
        return checks.one_of("field", name, fields), fields[name]

    @cached_property
    def _good(self) -> pa.Table:
        return self.index.filter(pc.equal(self.index["status"], SUCCESS))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {key: position for position, key in enumerate(self.keys)}

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = self._good["row"].to_numpy().astype(np.int64)
        return rows

    @cached_property
    def _coded(self) -> tuple[NDArray[np.int64], list[tuple[int, str]]]:
        """Number the pairs of shard and group: a number per sample, and the pairs."""
        pairs = list(
            zip(self._good["shard"].to_pylist(), self._good["group"].to_pylist(), strict=True)
        )
        known = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
        return np.array([known[pair] for pair in pairs], np.int64), list(known)

    @property
    def _places(self) -> NDArray[np.int64]:
        return self._coded[0]

    @property
    def _groups(self) -> list[tuple[int, str]]:
        return self._coded[1]

    def _ragged(
        self, shard: int, group: str, name: str, rows: NDArray[np.int64]
    ) -> Iterator[NDArray[Any]]:
        tensors = self.tensors_of(shard)
        ends = np.concatenate([[0], tensors.read(tensor_name(name, group, "ends"))])
        for row in rows:
            part = slice(int(ends[row]), int(ends[row + 1]))
            yield tensors.read(tensor_name(name, group, "values"), part)

    def _describe(self) -> Description:
        return parse_stored(
            self.store.read(FILE),
            Description.from_json,
            where=self.store.locate(FILE),
            expected="the description of embeddings",
            remedy=_REMEDY,
        )

    def _file(self, record: ShardRecord, suffix: str) -> ShardFile:
        name = record.name + suffix
        found = next((file for file in record.files if file.name == name), None)
        if found is None or self.store.size(name) != found.bytes:
            raise ShardCorrupt(
                f"{self.store.locate(name)}: expected the file that the manifest names, got one "
                f"of another size or none; {_REMEDY}"
            )
        return found

    def tensors_of(self, shard: int) -> TensorFile:
        """Open the arrays of a shard, by its position in the manifest.

        Raises:
            ShardCorrupt: the file is not that of the record.
        """
        if shard not in self._files:
            record = self.manifest.shards[shard]
            file = self._file(record, TENSORS_SUFFIX)
            opened = TensorFile(self.store, file.name, file.bytes)
            if opened.metadata.get("fingerprint") != record.fingerprint:
                raise ShardCorrupt(
                    f"{self.store.locate(file.name)}: expected arrays of {record.fingerprint}, "
                    f"got {opened.metadata.get('fingerprint')}; {_REMEDY}"
                )
            self._files[shard] = opened
        return self._files[shard]

    def index_of(self, shard: int) -> pa.Table:
        """Read the index of a shard, by its position in the manifest.

        Raises:
            ShardCorrupt: the file is not that of the record.
        """
        record = self.manifest.shards[shard]
        file = self._file(record, INDEX_SUFFIX)
        where = self.store.locate(file.name)
        with self.store.open_read(file.name) as opened, translate_parquet_errors(where, _REMEDY):
            table = pq.read_table(opened)
        if table.schema != INDEX_SCHEMA or table.num_rows != record.count:
            raise ShardCorrupt(f"{where}: expected {record.count} rows of an index; {_REMEDY}")
        return table


def _as_float(values: NDArray[Any], declared: Field) -> NDArray[Any]:
    """Return bfloat16, which numpy does not have, as float32."""
    if declared.dtype != "BF16":
        return values
    return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _combined(parts: list[tuple[NDArray[np.int64], NDArray[Any]]], count: int) -> Any:
    """Put rows of several tensors into order: one array, or a list if their shapes differ."""
    shapes = {values.shape[1:] for _, values in parts}
    if len(shapes) > 1:
        found: list[Any] = [None] * count
        for here, values in parts:
            for place, value in zip(here, values, strict=True):
                found[place] = value
        return found
    if len(parts) == 1:
        return parts[0][1]
    shape = next(iter(shapes), ())
    dtype = parts[0][1].dtype if parts else np.dtype(np.float32)
    whole = np.empty((count, *shape), dtype)
    for here, values in parts:
        whole[here] = values
    return whole
