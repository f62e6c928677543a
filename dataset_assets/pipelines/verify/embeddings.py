"""`verify_embeddings`: checks that a shard of embeddings agrees with its record and its index."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from dataset_assets.embeddings.encoder import Field
from dataset_assets.embeddings.store.description import TENSORS_SUFFIX, tensor_name
from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
from dataset_assets.embeddings.store.tensors import TensorFile
from dataset_assets.errors import ShardCorrupt, StorageError
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import Manifest, ShardRecord
from dataset_assets.shards.verify import file_sha256, size_problem
from dataset_assets.storage.store import Store

_CHECKED_ROWS = 4096


def verify_embeddings(
    store: Store, manifest: Manifest, record: ShardRecord, *, deep: bool = True
) -> Iterator[str]:
    """Yield the problems of one shard.

    Args:
        store: the set.
        manifest: that of the set.
        record: the record of the shard.
        deep: read every byte: hashes, and whether all numbers are finite.
    """
    for file in record.files:
        if problem := size_problem(file.name, file.bytes, store.size(file.name)):
            yield f"shard {record.name}: {problem}"
            return
        if deep and (found := file_sha256(store, file)) != file.sha256:
            yield f"shard {record.name}: {file.name} has sha256 {found}, expected {file.sha256}"
            return
    try:
        opened = EmbeddingSet(store)
        numbers = {shard.name: number for number, shard in enumerate(manifest.shards)}
        for problem in _content_problems(opened, numbers[record.name], record, deep=deep):
            yield f"shard {record.name}: {problem}"
    except (ShardCorrupt, StorageError) as exc:
        yield f"shard {record.name}: {exc}"


def _content_problems(
    opened: EmbeddingSet, number: int, record: ShardRecord, *, deep: bool
) -> Iterator[str]:
    index = opened.index_of(number)
    good = index.filter(pc.equal(index["status"], SUCCESS))
    if good.num_rows != record.successes:
        yield f"the record counts {record.successes} successes, the index {good.num_rows}"
    keys = index["key"].to_pylist()
    if len(set(keys)) != len(keys):
        yield f"{len(keys) - len(set(keys))} keys occur twice"
    tensors = opened.tensors_of(number)
    for group in sorted(set(good["group"].to_pylist())):
        rows = good.filter(pc.equal(good["group"], group))["row"].to_numpy()
        if sorted(rows) != list(range(len(rows))):
            yield f"group {group!r}: the index does not name each row once"
        for name, field in opened.fields.items():
            part = "ends" if field.is_ragged else ""
            shape = tensors.shape(tensor_name(name, group, part))
            if shape[0] != len(rows):
                where = f"{record.name}{TENSORS_SUFFIX}: {tensor_name(name, group, part)}"
                yield f"{where} has {shape[0]} rows, the index {len(rows)}"
            elif deep:
                values = tensor_name(name, group, "values" if field.is_ragged else "")
                yield from _number_problems(tensors, values, field)


def _number_problems(tensors: TensorFile, name: str, field: Field) -> Iterator[str]:
    count = tensors.shape(name)[0]
    bad = 0
    for start in range(0, count, _CHECKED_ROWS):
        values = tensors.read(name, slice(start, min(start + _CHECKED_ROWS, count)))
        bad += int((~_are_finite(values, field)).sum())
    if bad:
        yield f"{name}: {bad} numbers are NaN or infinite"


def _are_finite(values: NDArray[Any], field: Field) -> NDArray[np.bool_]:
    if field.dtype == "BF16":  # all bits of the exponent are set
        found: NDArray[np.bool_] = (values & 0x7F80) != 0x7F80
    else:
        found = np.isfinite(values)
    return found
