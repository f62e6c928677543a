"""Reads rows of a safetensors file: mapped into memory on a local disk, by ranges elsewhere.

Format: https://huggingface.co/docs/safetensors
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.embeddings.encoder import DTYPES
from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.typed_json import Count, decode, load_object
from dataset_assets.storage.store import Store
from dataset_assets.storage.stores import local

_MAX_HEADER_BYTES = 100_000_000
#: Rows that are at most so many bytes apart are read in one request.
_GAP_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class _Entry:
    dtype: str
    shape: tuple[Count, ...]
    data_offsets: tuple[Count, ...]


class TensorFile:
    """One file. Nothing is read before it is needed, and of a tensor only the rows asked for.

    Raises:
        ShardCorrupt: it is not a safetensors file, or a truncated one.
        ObjectMissing: it is missing.
    """

    def __init__(self, store: Store, name: str, size: int) -> None:
        self._store = store
        self._name = name
        self._maps: dict[str, NDArray[Any]] = {}
        self._start, header = self._read_header(size)
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        self._entries = {key: self._entry(key, value, size) for key, value in header.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors."""
        return tuple(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(self._found(name).shape)

    def read(self, name: str, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[Any]:
        """Return rows of a tensor; a copy, unless a slice of a local file is asked for.

        Args:
            name: the tensor.
            rows: their numbers, in any order, or a slice with step 1.
        """
        entry = self._found(name)
        if isinstance(self._store, local.Store):
            return self._mapped(name, entry)[rows]
        count = entry.shape[0]
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(count)
            return self._range(entry, start, max(stop, start))
        return self._scattered(entry, np.asarray(rows, np.int64))

    def _found(self, name: str) -> _Entry:
        if name not in self._entries:
            raise ShardCorrupt(
                f"{self._where}: expected a tensor {name!r}, got {', '.join(self._entries)}"
            )
        return self._entries[name]

    @property
    def _where(self) -> str:
        return self._store.locate(self._name)

    def _read_header(self, size: int) -> tuple[int, dict[str, Any]]:
        length = int.from_bytes(self._store.read(self._name, 0, 8), "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
            raise ShardCorrupt(f"{self._where}: not a safetensors file")
        try:
            return 8 + length, load_object(self._store.read(self._name, 8, length))
        except ValueError as exc:
            raise ShardCorrupt(f"{self._where}: not a safetensors file: {exc}") from exc

    def _entry(self, name: str, value: Any, size: int) -> _Entry:
        try:
            entry = decode(_Entry, value)
            start, end = entry.data_offsets
            expected = DTYPES[entry.dtype].itemsize * math.prod(entry.shape)
            if not entry.shape or end - start != expected or self._start + end > size:
                raise ValueError("its shape and its place do not agree")
        except (ValueError, KeyError) as exc:
            raise ShardCorrupt(f"{self._where}: tensor {name!r}: {exc}") from exc
        return entry

    def _mapped(self, name: str, entry: _Entry) -> NDArray[Any]:
        if name not in self._maps:
            dtype = DTYPES[entry.dtype]
            shape = tuple(entry.shape)
            if math.prod(shape) == 0:
                self._maps[name] = np.zeros(shape, dtype)
            else:
                offset = self._start + entry.data_offsets[0]
                mapped = np.memmap(self._where, dtype, "r", offset, shape)
                self._maps[name] = mapped.view(np.ndarray)
        return self._maps[name]

    def _range(self, entry: _Entry, start: int, stop: int) -> NDArray[Any]:
        dtype = DTYPES[entry.dtype]
        shape = tuple(entry.shape[1:])
        row_bytes = dtype.itemsize * math.prod(shape)
        first = self._start + entry.data_offsets[0] + start * row_bytes
        length = (stop - start) * row_bytes
        data = self._store.read(self._name, first, length) if length else b""
        if len(data) != length:
            raise ShardCorrupt(f"{self._where} ends before byte {first + length}")
        return np.frombuffer(data, dtype).reshape(stop - start, *shape)

    def _scattered(self, entry: _Entry, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read rows by as few ranges as pay."""
        shape = tuple(entry.shape[1:])
        row_bytes = max(1, DTYPES[entry.dtype].itemsize * math.prod(shape))
        wanted = np.unique(rows)
        found = np.empty((len(rows), *shape), DTYPES[entry.dtype])
        cuts = np.flatnonzero(np.diff(wanted) * row_bytes > _GAP_BYTES) + 1
        for part in np.split(wanted, cuts):
            if len(part):
                block = self._range(entry, int(part[0]), int(part[-1]) + 1)
                is_here = (rows >= part[0]) & (rows <= part[-1])
                found[is_here] = block[rows[is_here] - part[0]]
        return found
