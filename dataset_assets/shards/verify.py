"""Does a committed shard hold what its record says? Answers in sentences, and never trusts the files it looks at."""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import ShardFile, ShardRecord
from dataset_assets.shards.commits import accounting_problem, stored_size
from dataset_assets.shards.reading import read_samples, read_values
from dataset_assets.shards.writer import INDEX, Sample, index_names, part_columns
from dataset_assets.storage.store import Store

MAX_PROBLEMS = 100
_CHUNK = 1 << 20


class _Place(NamedTuple):
    """Where the sample of a row should be."""

    row: int
    offset: int | None
    size: int | None
    parts: dict[str, int]  # columns of the parts that the sample has


def verify_shard(store: Store, record: ShardRecord, *, deep: bool = True) -> list[str]:
    """List what is wrong with a shard, at most `MAX_PROBLEMS` sentences that name shard, file and row; none if it is sound.

    Shallow: the record's counts and the sizes of its files. Deep: also sha256 of every file, every row once, every success with its sample where the
    index says and in row order, no sample without a row.
    """
    problems = list(_shallow(store, record))
    if deep and not problems:
        problems = list(islice(_deep(store, record), MAX_PROBLEMS))
    return [f"shard {record.name}: {problem}" for problem in problems]


def _shallow(store: Store, record: ShardRecord) -> Iterator[str]:
    if problem := accounting_problem(record):
        yield f"the record counts {problem}"
    for file in record.files:
        size = stored_size(store, file)
        if size is None:
            yield f"{file.name} is missing"
        elif size != file.bytes:
            yield f"{file.name} has {size} bytes, expected {file.bytes}"


def _deep(store: Store, record: ShardRecord) -> Iterator[str]:
    try:
        for file in record.files:
            if file.sha256 is not None and (found := file_sha256(store, file)) != file.sha256:
                yield f"{file.name} has changed: sha256 {found}, expected {file.sha256}"
        if record.files:
            yield from _rows(store, record)
    except (ShardCorrupt, ObjectMissing) as exc:
        yield str(exc)


def file_sha256(store: Store, file: ShardFile) -> str:
    """Return the hex digest of a stored file."""
    digest = hashlib.sha256()
    with store.open_read(file.name) as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _rows(store: Store, record: ShardRecord) -> Iterator[str]:
    places: dict[str, _Place] = {}  # of the successes whose sample has not been found yet
    keys: set[str] = set()
    count = successes = 0
    for count, values in enumerate(read_values(store, record), start=1):
        key = values["key"]
        if key in keys:
            yield f"row {count - 1}: key {key} occurs twice"
        keys.add(key)
        if values["status"] == SUCCESS:
            successes += 1
            places[key] = _Place(
                count - 1, values.get("offset"), values.get("bytes"), _index_of_parts(values)
            )
    if (count, successes) != (record.count, record.successes):
        yield f"{count} rows with {successes} successes, expected {record.count} with {record.successes}"
    yield from _samples(store, record, places)


def _samples(store: Store, record: ShardRecord, places: dict[str, _Place]) -> Iterator[str]:
    name, last = record.files[0].name, -1
    for sample in read_samples(store, record):
        if sample.key not in places:
            yield f"{name}: sample {sample.key} has no row that is a success"
            continue
        row, offset, size, parts = places.pop(sample.key)
        if row < last:
            yield f"{name}: sample {sample.key} is out of row order"
        last = row
        if size is not None and (offset, size) != (sample.offset, len(sample.payload)):
            yield f"{name}: sample {sample.key} has {len(sample.payload)} bytes at {sample.offset}, the index says {size} bytes at {offset}"
        if parts != (found := _places_of_parts(sample)):
            yield f"{name}: sample {sample.key} has the parts {found}, the index says {parts}"
    for key in places:
        yield f"{name}: row {key} is a success, but has no sample"


def _index_of_parts(values: Mapping[str, Any]) -> dict[str, int]:
    names = index_names(list(values)) - {each.name for each in INDEX}
    return {name: values[name] for name in sorted(names) if values[name] is not None}


def _places_of_parts(sample: Sample) -> dict[str, int]:
    pairs = (
        zip(part_columns(part), (sample.part_offsets[part], len(data)), strict=True)
        for part, data in sample.parts.items()
    )
    return dict(sorted(pair for each in pairs for pair in each))
