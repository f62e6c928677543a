"""Verifies that a committed shard agrees with its record. The files are never trusted."""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import ShardFile, ShardRecord
from dataset_assets.shards.commits import RECORD_SUFFIX, accounting_problem, stored_size
from dataset_assets.shards.reading import read_samples, read_values
from dataset_assets.shards.writer import INDEX, StoredSample, index_names, part_columns
from dataset_assets.storage.store import Store

MAX_PROBLEMS = 100


class _IndexEntry(NamedTuple):
    """Where the index says that the sample of a row lies."""

    row: int
    offset: int | None
    size: int | None
    parts: dict[str, int]
    """Values of the index columns of the parts that the sample has."""


def verify_shard(store: Store, record: ShardRecord, *, deep: bool = True) -> list[str]:
    """List the problems of a shard, at most `MAX_PROBLEMS`; an empty list if it has none.

    Args:
        store: the shard set.
        record: the record of the shard.
        deep: also check the sha256 of every file, that every row occurs once, that every success
            has its sample in row order and where the index says, and that every sample has a row.
            Otherwise only the counts of the record and the sizes of the files are checked.

    Returns:
        One sentence for each problem, with shard, file and row.
    """
    problems = list(_record_problems(store, record))
    if deep and not problems:
        problems = list(islice(_content_problems(store, record), MAX_PROBLEMS))
    return [f"shard {record.name}: {problem}" for problem in problems]


def size_problem(where: str, expected: int, found: int | None) -> str | None:
    """Say how the size of a stored file differs from its record; None if it does not."""
    if found is None:
        return f"{where} is missing"
    return None if found == expected else f"{where}: expected {expected} bytes, got {found}"


def _record_problems(store: Store, record: ShardRecord) -> Iterator[str]:
    if problem := accounting_problem(record):
        yield f"the record counts {problem}"
    for file in record.files:
        if problem := size_problem(file.name, file.bytes, stored_size(store, file)):
            yield problem


def _content_problems(store: Store, record: ShardRecord) -> Iterator[str]:
    try:
        for file in record.files:
            if problem := content_problem(store, file):
                yield problem
        if record.files:
            yield from _row_problems(store, record)
    except (ShardCorrupt, ObjectMissing) as exc:
        yield str(exc)


def content_problem(store: Store, file: ShardFile) -> str | None:
    """Say how the bytes of a file of a shard differ from its record; None if they do not.

    A folder of files has no hash in the record, and is never found to differ.
    """
    if file.sha256 is None or (found := file_sha256(store, file)) == file.sha256:
        return None
    record = file.name.partition(".")[0] + RECORD_SUFFIX
    return (
        f"{file.name} has changed: expected sha256 {file.sha256}, got {found}; delete {record} and "
        "run again what made the set: it makes this shard anew"
    )


def file_sha256(store: Store, file: ShardFile) -> str:
    """Return the sha256 (hex) of a stored file."""
    opened: Any
    with store.open_read(file.name) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _row_problems(store: Store, record: ShardRecord) -> Iterator[str]:
    # Successes whose sample has not been found yet.
    missing: dict[str, _IndexEntry] = {}
    keys: set[str] = set()
    count = 0
    successes = 0
    for count, values in enumerate(read_values(store, record), start=1):
        key = values["key"]
        if key in keys:
            yield f"row {count - 1}: key {key} occurs twice"
        keys.add(key)
        if values["status"] == SUCCESS:
            successes += 1
            missing[key] = _IndexEntry(
                count - 1, values.get("offset"), values.get("bytes"), _index_of_parts(values)
            )
    if (count, successes) != (record.count, record.successes):
        yield (
            f"expected {record.count} rows with {record.successes} successes, "
            f"got {count} with {successes}"
        )
    yield from _sample_problems(store, record, missing)


def _sample_problems(
    store: Store, record: ShardRecord, missing: dict[str, _IndexEntry]
) -> Iterator[str]:
    name = record.files[0].name
    last = -1
    for sample in read_samples(store, record):
        if sample.key not in missing:
            yield f"{name}: sample {sample.key} has no row that is a success"
            continue
        row, offset, size, parts = missing.pop(sample.key)
        if row < last:
            yield f"{name}: sample {sample.key} is out of row order"
        last = row
        if size is not None and (offset, size) != (sample.offset, len(sample.payload)):
            yield (
                f"{name}: sample {sample.key} has {len(sample.payload)} bytes at {sample.offset}, "
                f"the index says {size} bytes at {offset}"
            )
        if parts != (found := _offsets_of_parts(sample)):
            yield f"{name}: sample {sample.key} has the parts {found}, the index says {parts}"
    for key in missing:
        yield f"{name}: row {key} is a success, but has no sample"


def _index_of_parts(values: Mapping[str, Any]) -> dict[str, int]:
    names = index_names(list(values)) - {each.name for each in INDEX}
    return {name: values[name] for name in sorted(names) if values[name] is not None}


def _offsets_of_parts(sample: StoredSample) -> dict[str, int]:
    values: dict[str, int] = {}
    for part, data in sample.parts.items():
        offset_column, bytes_column = part_columns(part)
        values[offset_column] = sample.part_offsets[part]
        values[bytes_column] = len(data)
    return dict(sorted(values.items()))
