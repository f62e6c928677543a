"""`verify_embeddings`: checks that shards of embeddings agree with their records and indexes."""

from collections.abc import Collection, Iterator
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
from dataset_assets.shards.verify import file_sha256
from dataset_assets.storage.store import Store

_CHECKED_ROWS = 4096


def verify_embeddings(
    store: Store, manifest: Manifest, sound: Collection[str], *, deep: bool = True
) -> Iterator[str]:
    """Yield the problems of the shards of a set.

    Args:
        store: the set.
        manifest: that of the set.
        sound: names of the shards whose files have their sizes; the others are passed over.
        deep: read every byte: hashes, and whether all numbers are finite.
    """
    if not sound:
        return
    try:
        opened = EmbeddingSet(store)
    except (ShardCorrupt, StorageError) as exc:
        yield str(exc)
        return
    for number, record in enumerate(manifest.shards):
        if record.name in sound:
            for problem in _shard_problems(opened, number, record, deep=deep):
                yield f"shard {record.name}: {problem}"


def _shard_problems(
    opened: EmbeddingSet, number: int, record: ShardRecord, *, deep: bool
) -> Iterator[str]:
    try:
        for file in record.files if deep else ():
            if (found := file_sha256(opened.store, file)) != file.sha256:
                yield f"{file.name} has sha256 {found}, expected {file.sha256}"
                return
        yield from _content_problems(opened, number, record, deep=deep)
    except (ShardCorrupt, StorageError) as exc:
        yield str(exc)


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
