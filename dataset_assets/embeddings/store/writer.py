"""Writes the embeddings of one source shard. Arrays wait on disk, so memory is that of a batch.

Format: https://huggingface.co/docs/safetensors
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dataset_assets.embeddings.encoder import DTYPES, Field
from dataset_assets.embeddings.store.description import (
    INDEX_SUFFIX,
    TENSORS_SUFFIX,
    tensor_name,
)
from dataset_assets.errors import ShardIncomplete
from dataset_assets.records.causes import SUCCESS, Cause
from dataset_assets.records.shards import ShardFile
from dataset_assets.storage.parquet import ParquetSink
from dataset_assets.storage.store import Staged, Store

#: Columns of the index, one row per sample of the source shard, in its order.
INDEX_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        ("cause", pa.string()),
        ("error_message", pa.string()),
        ("group", pa.string()),
        ("row", pa.int32()),
        ("length", pa.int32()),
        ("sha256", pa.string()),
    ]
)
_COPY_BYTES = 1 << 20
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of the source shard."""

    key: str
    sha256: str
    """Of what was encoded, hex."""


@dataclass(slots=True)
class _Tensor:
    """Rows of one tensor, on disk until the file is written."""

    dtype: str
    shape: tuple[int, ...]
    """Without the first axis."""
    file: IO[bytes]
    rows: int = 0

    def append(self, values: NDArray[Any]) -> None:
        self.file.write(np.ascontiguousarray(values, DTYPES[self.dtype]).data)
        self.rows += len(values)

    @property
    def bytes(self) -> int:
        return DTYPES[self.dtype].itemsize * self.rows * int(np.prod(self.shape, dtype=np.int64))


@dataclass(slots=True)
class _Group:
    """The samples of one group, in the order in which they were encoded."""

    rows: int = 0
    tensors: dict[str, _Tensor] = field(default_factory=dict)


class ShardWriter:
    """One shard of embeddings. A context manager that discards it unless committed.

    Args:
        store: the set.
        name: of the shard, as in the source.
        fields: the arrays of a sample.
        metadata: of the safetensors file.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        fields: Mapping[str, Field],
        metadata: Mapping[str, str],
    ) -> None:
        self._store = store
        self._name = name
        self._fields = fields
        self._metadata = dict(metadata)
        self._files = ExitStack()
        self._groups: dict[str, _Group] = {}
        self._samples: list[dict[str, Any] | None] = []

    def expect(self) -> int:
        """Reserve the next row of the index and return its number."""
        self._samples.append(None)
        return len(self._samples) - 1

    def add(
        self,
        numbers: Sequence[int],
        samples: Sequence[Sample],
        group: str,
        arrays: Mapping[str, Any],
    ) -> None:
        """Append a batch of one group.

        Args:
            numbers: rows of the index, from `expect`.
            samples: what they are.
            group: the group of all of them.
            arrays: for each field (B, *shape), or a list of B arrays.
        """
        found = self._groups.setdefault(group, _Group())
        lengths: list[int | None] = [None] * len(samples)
        for name, declared in self._fields.items():
            values = arrays[name]
            if declared.is_ragged:
                lengths = [len(each) for each in values]
                self._append_ragged(found, name, group, declared, values)
            else:
                self._tensor(found, tensor_name(name, group), declared.dtype, values.shape[1:])
                found.tensors[tensor_name(name, group)].append(values)
        for place, (number, sample) in enumerate(zip(numbers, samples, strict=True)):
            self._samples[number] = {
                "key": sample.key,
                "status": SUCCESS,
                "group": group,
                "row": found.rows + place,
                "length": lengths[place],
                "sha256": sample.sha256,
            }
        found.rows += len(samples)

    def add_failure(self, number: int, sample: Sample, cause: Cause, message: str) -> None:
        """Note a sample that has no arrays."""
        self._samples[number] = {
            "key": sample.key,
            "status": cause.status,
            "cause": str(cause),
            "error_message": message,
            "sha256": sample.sha256,
        }

    def commit(self) -> tuple[ShardFile, ...]:
        """Write both files and make them visible; return them.

        Raises:
            ShardIncomplete: a sample has neither arrays nor a cause.
        """
        missing = self._samples.count(None)
        if missing:
            raise ShardIncomplete(
                f"shard {self._name}: {missing} samples were neither encoded nor refused; "
                "this is a bug, the shard is not recorded"
            )
        return self._write_tensors(), self._write_index()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._files.close()

    def _append_ragged(
        self, group: _Group, name: str, label: str, declared: Field, values: Sequence[Any]
    ) -> None:
        flat = tensor_name(name, label, "values")
        ends = tensor_name(name, label, "ends")
        self._tensor(group, flat, declared.dtype, values[0].shape[1:])
        self._tensor(group, ends, "I64", ())
        start = group.tensors[flat].rows
        for each in values:
            group.tensors[flat].append(each)
        lengths = np.cumsum([len(each) for each in values], dtype=np.int64)
        group.tensors[ends].append(start + lengths)

    def _tensor(self, group: _Group, name: str, dtype: str, shape: tuple[int, ...]) -> None:
        if name not in group.tensors:
            file = tempfile.TemporaryFile(prefix="embeddings-")  # noqa: SIM115 - closed at the end
            group.tensors[name] = _Tensor(dtype, tuple(shape), self._files.enter_context(file))

    def _write_tensors(self) -> ShardFile:
        tensors = {
            name: tensor
            for label in sorted(self._groups)
            for name, tensor in self._groups[label].tensors.items()
        }
        with self._store.stage(self._name + TENSORS_SUFFIX) as staged:
            staged.write(_header(tensors, self._metadata))
            for tensor in tensors.values():
                _copy(tensor.file, staged)
            staged.commit()
        return ShardFile(staged.key, staged.bytes, staged.sha256)

    def _write_index(self) -> ShardFile:
        staged = self._store.stage(self._name + INDEX_SUFFIX)
        with ParquetSink(staged, INDEX_SCHEMA, compression="zstd") as sink:
            sink.write(pa.Table.from_pylist(self._samples, INDEX_SCHEMA))
            sink.commit()
        return ShardFile(staged.key, staged.bytes, staged.sha256)


def _header(tensors: Mapping[str, _Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return the beginning of the file: the length of the header, and the header."""
    found: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    start = 0
    for name, tensor in tensors.items():
        end = start + tensor.bytes
        shape = [tensor.rows, *tensor.shape]
        found[name] = {"dtype": tensor.dtype, "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(found, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _copy(file: IO[bytes], staged: Staged) -> None:
    file.seek(0)
    while chunk := file.read(_COPY_BYTES):
        staged.write(chunk)
