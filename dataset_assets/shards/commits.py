"""Commit records and the manifest: what exists, and nothing else does.

A shard exists if and only if its record `00000_stats.json` is whole and the files it names have the sizes it says. Records of other tools, foreign
files, cut records and files without a record are not ours and are passed over. The manifest lists the records; readers open it first.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dataset_assets.errors import (
    ConfigurationError,
    ObjectMissing,
    PlanMismatch,
    ShardCorrupt,
    ShardIncomplete,
)
from dataset_assets.records.causes import FAILED_TO_DOWNLOAD, FAILED_TO_RESIZE, Cause
from dataset_assets.records.shards import SCHEMA_VERSION, Manifest, ShardFile, ShardRecord
from dataset_assets.shards.naming import is_hidden
from dataset_assets.storage.store import Store

RECORD_SUFFIX = "_stats.json"
MANIFEST = "manifest.json"
_ROUNDS = 100


def read_record(store: Store, name: str) -> ShardRecord | None:
    """Read the record of a shard; None when there is no such shard: no record, a cut one, another tool's, or files that do not agree with it."""
    record = _parse(store, name)
    return (
        record
        if record is not None
        and all(stored_size(store, file) == file.bytes for file in record.files)
        else None
    )


def list_records(store: Store) -> list[ShardRecord]:
    """Read the records of all shards of a folder, in shard order."""
    sizes = {info.key: info.bytes for info in store.list("", recursive=False)}
    names = [key.removesuffix(RECORD_SUFFIX) for key in sizes if key.endswith(RECORD_SUFFIX)]
    records = [record for name in names if (record := _parse(store, name)) is not None]
    whole = [
        record
        for record in records
        if all(stored_size(store, file, sizes) == file.bytes for file in record.files)
    ]
    return sorted(whole, key=lambda record: (record.shard_id, record.name))


def write_record(store: Store, record: ShardRecord) -> None:
    """Write the record of a shard whose files are committed: from here on the shard exists.

    Raises:
        ShardIncomplete: its rows are not all accounted for.
    """
    problem = accounting_problem(record)
    if problem:
        raise ShardIncomplete(
            f"shard {record.name}: {problem}; this is a bug, the shard is not recorded"
        )
    store.write(record.record_name, record.to_json())


def accounting_problem(record: ShardRecord) -> str | None:
    """Say which counts of a record do not add up: rows = successes + failures, failures = causes."""
    failures = record.failed_to_download + record.failed_to_resize
    if record.count != record.successes + failures:
        return f"{record.count} rows, but {record.successes} successes and {failures} failures"
    if sum(record.causes.values()) != failures:
        return f"{failures} failures, but {sum(record.causes.values())} causes"
    return None


def write_manifest(
    store: Store, *, fingerprint: str, output_format: str, extra_files: Sequence[ShardFile] = ()
) -> Manifest:
    """Write the manifest of all records of a folder, and of the files that belong to the whole set, and return it.

    Lists, writes and lists again until both agree: a writer that puts an older list over a newer one finds out and corrects it, so concurrent writers
    end with the manifest of all. Idempotent: equal sets give equal bytes, which are not written again.

    Raises:
        PlanMismatch: another writer keeps replacing it with something else.
    """
    for _ in range(_ROUNDS):
        manifest = Manifest(
            tuple(list_records(store)), fingerprint, output_format, extra_files=tuple(extra_files)
        )
        data = manifest.to_json()
        if _read_or_none(store, MANIFEST) == data:
            return manifest
        store.write(MANIFEST, data)
    raise PlanMismatch(
        f"another run with other options writes to {store.url}; let one finish, or give each its own folder"
    )


def read_manifest(store: Store) -> Manifest:
    """Read the manifest. Its records have no times and no messages: those are in the records themselves.

    Raises:
        ObjectMissing: there is none: not a shard set, or not finished.
        ShardCorrupt: it is not one.
        ConfigurationError: a newer version of this package wrote it.
    """
    data = store.read(MANIFEST)
    try:
        raw = json.loads(data)
        version = int(raw["schema_version"])
        if version > SCHEMA_VERSION:
            message = f"{store.locate(MANIFEST)} has schema version {version}, expected at most {SCHEMA_VERSION}: upgrade dataset-assets"
            raise ConfigurationError(message)
        shards = tuple(_from_manifest(entry) for entry in raw["shards"])
        extra = tuple(ShardFile(**entry) for entry in raw.get("extra_files", ()))
        return Manifest(shards, str(raw["fingerprint"]), str(raw["output_format"]), version, extra)
    except ConfigurationError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise ShardCorrupt(
            f"{store.locate(MANIFEST)} is not a manifest of this package ({exc}); run the download again to write it"
        ) from exc


def stored_size(
    store: Store, file: ShardFile, sizes: Mapping[str, int] | None = None
) -> int | None:
    """Return the bytes that are stored of a file of a shard, or of a folder of files; None when there is nothing.

    `sizes` saves requests: the objects at the top of the store.
    """
    if file.sha256 is not None:
        return store.size(file.name) if sizes is None else sizes.get(file.name)
    return sum(
        info.bytes
        for info in store.list(f"{file.name}/", recursive=False)
        if not is_hidden(info.key)
    )


def _parse(store: Store, name: str) -> ShardRecord | None:
    """Read a record without looking at its files; None when there is none or it is not ours."""
    data = _read_or_none(store, name + RECORD_SUFFIX)
    try:
        record = ShardRecord.from_json(data) if data is not None else None
        return record if record is not None and _is_ours(record, name) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_ours(record: ShardRecord, name: str) -> bool:
    counts = (
        record.count,
        record.successes,
        record.failed_to_download,
        record.failed_to_resize,
        *record.causes.values(),
    )
    numbers = (record.shard_id, *counts, *(file.bytes for file in record.files))
    named = all(
        file.name == name if file.sha256 is None else file.name.startswith(f"{name}.")
        for file in record.files
    )
    plain = all("/" not in file.name for file in record.files)
    return (
        record.name == name
        and named
        and plain
        and all(isinstance(number, int) for number in numbers)
    )


def _read_or_none(store: Store, key: str) -> bytes | None:
    try:
        return store.read(key)
    except ObjectMissing:
        return None


def _from_manifest(entry: dict[str, Any]) -> ShardRecord:
    causes: dict[str, int] = dict(entry["causes"])
    failed: Counter[str] = Counter()
    for cause, rows in causes.items():
        failed[Cause(cause).status] += rows
    return ShardRecord(
        count=entry["rows"],
        successes=entry["successes"],
        failed_to_download=failed[FAILED_TO_DOWNLOAD],
        failed_to_resize=failed[FAILED_TO_RESIZE],
        duration=0.0,
        start_time=0.0,
        end_time=0.0,
        status_dict={},
        name=entry["name"],
        shard_id=entry["shard_id"],
        fingerprint=entry["fingerprint"],
        causes=causes,
        files=tuple(ShardFile(**file) for file in entry["files"]),
    )
