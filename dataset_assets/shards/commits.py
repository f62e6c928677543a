"""Commit records and the manifest of a shard set: they define which shards exist.

A shard exists if and only if its record `00000_stats.json` is complete and the files that it names
have the sizes that it states. Records of other tools, foreign files, truncated records and files
without a record are ignored. The manifest lists the records; readers open it first.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataset_assets.errors import PlanMismatch, ShardIncomplete
from dataset_assets.records.causes import FAILED_TO_DOWNLOAD, FAILED_TO_RESIZE, SUCCESS, Cause
from dataset_assets.records.shards import Manifest, Row, ShardFile, ShardRecord
from dataset_assets.records.stored_json import parse_stored, read_or_none
from dataset_assets.records.typed_json import Count, FileName, decode, load_object
from dataset_assets.shards.naming import is_hidden
from dataset_assets.storage.store import Store

RECORD_SUFFIX = "_stats.json"
MANIFEST = "manifest.json"
_MANIFEST_ATTEMPTS = 100
#: Distinct messages kept in a record; the causes are always complete.
MAX_MESSAGES = 1000


class Tally:
    """Counts of one shard. Input rows = successes + failures by cause, by construction."""

    def __init__(self) -> None:
        self._causes: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._messages: Counter[str] = Counter()
        self._started = time.time()
        self.requests = 0
        self.bytes_downloaded = 0

    def add(self, row: Row) -> None:
        """Count a row as it is written."""
        status = row.columns["status"]
        self._statuses[status] += 1
        message = SUCCESS if status == SUCCESS else row.columns["error_message"] or status
        if message in self._messages or len(self._messages) < MAX_MESSAGES:
            self._messages[message] += 1
        if row.cause is not None:
            self._causes[row.cause] += 1

    def record(
        self, name: str, shard_id: int, fingerprint: str, files: tuple[ShardFile, ...]
    ) -> ShardRecord:
        """Return the record of the shard, whose files are committed and whose rows are counted."""
        now = time.time()
        return ShardRecord(
            count=self._statuses.total(),
            successes=self._statuses[SUCCESS],
            failed_to_download=self._statuses[FAILED_TO_DOWNLOAD],
            failed_to_resize=self._statuses[FAILED_TO_RESIZE],
            duration=now - self._started,
            start_time=self._started,
            end_time=now,
            status_dict=dict(self._messages.most_common()),
            name=name,
            shard_id=shard_id,
            fingerprint=fingerprint,
            causes={str(cause): rows for cause, rows in self._causes.most_common()},
            files=files,
            requests=self.requests,
            bytes_downloaded=self.bytes_downloaded,
            bytes_stored=sum(file.bytes for file in files),
        )


def read_record(store: Store, name: str) -> ShardRecord | None:
    """Read the record of a shard; return None when the shard does not exist.

    It does not exist without a record, with a truncated one or one of another tool, or when its
    files have other sizes than the record states.
    """
    record = _read_record(store, name)
    if record is None or not _has_its_files(store, record):
        return None
    return record


def list_records(store: Store, *, with_files: bool = True) -> list[ShardRecord]:
    """Read the records of all shards of a set, in shard order.

    Args:
        store: the shard set.
        with_files: leave out shards whose files are missing or have other sizes.
    """
    sizes = {info.key: info.bytes for info in store.list("", recursive=False)}
    records = []
    for key in sizes:
        if key.endswith(RECORD_SUFFIX):
            record = _read_record(store, key.removesuffix(RECORD_SUFFIX))
            if record is not None and (not with_files or _has_its_files(store, record, sizes)):
                records.append(record)
    return sorted(records, key=lambda record: (record.shard_id, record.name))


def write_record(store: Store, record: ShardRecord) -> None:
    """Write the record of a shard whose files are committed. From then on the shard exists.

    Raises:
        ShardIncomplete: the record does not account for all rows.
    """
    problem = accounting_problem(record)
    if problem:
        raise ShardIncomplete(
            f"shard {record.name}: {problem}; this is a bug, the shard is not recorded"
        )
    store.write(record.record_name, record.to_json())


def accounting_problem(record: ShardRecord) -> str | None:
    """Describe which counts of a record do not add up; None when all do.

    Rows are successes and failures; failures are the sum of the causes.
    """
    failures = record.failed_to_download + record.failed_to_resize
    if record.count != record.successes + failures:
        return f"{record.count} rows, but {record.successes} successes and {failures} failures"
    if sum(record.causes.values()) != failures:
        return f"{failures} failures, but {sum(record.causes.values())} causes"
    return None


def write_manifest(
    store: Store, *, fingerprint: str, output_format: str, extra_files: Sequence[ShardFile] = ()
) -> Manifest:
    """Write the manifest of all records of a set and return it. Idempotent.

    The manifest is listed, written and listed again until both agree. A writer that replaces a
    newer list by an older one notices and corrects it, so concurrent writers end with the manifest
    of all shards. Equal sets give equal bytes, which are not written again.

    Args:
        store: the shard set.
        fingerprint: of the options of the set.
        output_format: of its shards.
        extra_files: files that belong to the whole set.

    Raises:
        PlanMismatch: another writer keeps replacing the manifest with a different one.
    """
    for _ in range(_MANIFEST_ATTEMPTS):
        records = tuple(list_records(store))
        manifest = Manifest(records, fingerprint, output_format, extra_files=tuple(extra_files))
        data = manifest.to_json()
        if read_or_none(store.read, MANIFEST, bytes) == data:
            return manifest
        store.write(MANIFEST, data)
    raise PlanMismatch(
        f"{store.url}: expected one writer, got another run with other options; "
        "wait until one of them is done, or give each run its own folder"
    )


def read_manifest(store: Store) -> Manifest:
    """Read the manifest of a set.

    Its records have no times and no messages; those are in the records of the shards.

    Raises:
        ObjectMissing: there is none: the folder is no shard set, or the set is not finished.
        ShardCorrupt: the file is not a manifest.
        ConfigurationError: a newer version of this package wrote it.
    """
    return parse_stored(
        store.read(MANIFEST),
        parse_manifest,
        where=store.locate(MANIFEST),
        expected="a manifest of this package",
        remedy="run the download again to write it",
    )


def stored_size(
    store: Store, file: ShardFile, sizes: Mapping[str, int] | None = None
) -> int | None:
    """Return the stored bytes of a file of a shard, or of a folder of files; None if it is missing.

    Args:
        store: the shard set.
        file: the file.
        sizes: bytes of each object at the top of the store, when they are known: saves requests.
    """
    if file.sha256 is not None:
        return store.size(file.name) if sizes is None else sizes.get(file.name)
    objects = store.list(f"{file.name}/", recursive=False)
    return sum(info.bytes for info in objects if not is_hidden(info.key))


def _has_its_files(
    store: Store, record: ShardRecord, sizes: Mapping[str, int] | None = None
) -> bool:
    return all(stored_size(store, file, sizes) == file.bytes for file in record.files)


def _read_record(store: Store, name: str) -> ShardRecord | None:
    """Read a record without looking at its files; None when there is none, or it is foreign."""
    return read_or_none(
        store.read,
        name + RECORD_SUFFIX,
        lambda data: _checked_record(ShardRecord.from_json(data), name),
    )


def is_own_record(store: Store, name: str) -> bool:
    """Tell whether this package has recorded a shard, even if its files are damaged by now."""
    return _read_record(store, name) is not None


def _checked_record(record: ShardRecord, name: str) -> ShardRecord:
    """Return a record that this package can have written.

    Raises:
        ValueError: another tool wrote it.
    """
    if record.name != name:
        raise ValueError(f"expected the record of shard {name}, got one of {record.name}")
    for file in record.files:
        is_named = file.name == name if file.sha256 is None else file.name.startswith(f"{name}.")
        if not is_named or "/" in file.name:
            raise ValueError(f"expected files of shard {name}, got {file.name}")
    return record


@dataclass(frozen=True, slots=True)
class _Entry:
    """A shard in the manifest: what of its record does not change from run to run."""

    name: FileName
    shard_id: Count
    fingerprint: str
    rows: Count
    successes: Count
    causes: dict[str, Count]
    files: tuple[ShardFile, ...]

    def record(self) -> ShardRecord:
        """Return the record, without times and messages.

        Raises:
            ValueError: the counts do not add up, or the files are not those of the shard.
        """
        failed: Counter[str] = Counter()
        for cause, rows in self.causes.items():
            failed[Cause(cause).status] += rows
        record = ShardRecord(
            count=self.rows,
            successes=self.successes,
            failed_to_download=failed[FAILED_TO_DOWNLOAD],
            failed_to_resize=failed[FAILED_TO_RESIZE],
            duration=0.0,
            start_time=0.0,
            end_time=0.0,
            status_dict={},
            name=self.name,
            shard_id=self.shard_id,
            fingerprint=self.fingerprint,
            causes=self.causes,
            files=self.files,
        )
        if problem := accounting_problem(record):
            raise ValueError(f"shard {self.name}: {problem}")
        return _checked_record(record, self.name)


@dataclass(frozen=True, slots=True)
class _StoredManifest:
    """`manifest.json`."""

    output_format: str
    fingerprint: str
    shards: tuple[_Entry, ...]
    schema_version: int
    extra_files: tuple[ShardFile, ...] = ()


def parse_manifest(data: bytes) -> Manifest:
    """Parse the bytes of a manifest. Raises `stored_json.MALFORMED`."""
    stored = decode(_StoredManifest, load_object(data), foreign_keys=True)
    return Manifest(
        shards=tuple(entry.record() for entry in stored.shards),
        fingerprint=stored.fingerprint,
        output_format=stored.output_format,
        schema_version=stored.schema_version,
        extra_files=stored.extra_files,
    )
