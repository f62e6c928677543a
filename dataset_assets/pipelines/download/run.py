"""One call of `download`: plan the lists, make the missing shards, report the result."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, PlanMismatch, ShardIncomplete
from dataset_assets.pipelines.download.download_shards import download_shards
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.plan_parts import plan_once
from dataset_assets.pipelines.download.progress import WandbRun, new_reporter
from dataset_assets.records.causes import Cause
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import Manifest, ShardResult, ShardTask
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.shards.commits import MANIFEST, RECORD_SUFFIX, list_records, parse_manifest
from dataset_assets.shards.lease import Lease
from dataset_assets.shards.replace import FOLDER
from dataset_assets.shards.sidecar import SUFFIX
from dataset_assets.storage.store import Store
from dataset_assets.urls.lists import ListOptions

_PLANS = "_plan"
_EXTENSION = "_extension.json"


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What a download left behind.

    Example:
        >>> from dataset_assets import download
        >>> report = download("urls.parquet", input_format="parquet", output_folder="again")
        >>> report.rows == report.successes + sum(report.causes.values())
        True
    """

    manifest: Manifest
    """The whole output, earlier runs included."""
    made: int
    """Shards committed by this call."""
    skipped: int
    """Shards that were committed before."""
    requests: int
    """HTTP requests made by this call."""

    @property
    def rows(self) -> int:
        """Input rows of the whole output."""
        return self.manifest.rows

    @property
    def successes(self) -> int:
        """Rows with a sample."""
        return self.manifest.successes

    @property
    def causes(self) -> dict[str, int]:
        """Failed rows by cause."""
        return self.manifest.causes


def run_download(
    source: Any,
    store: Store,
    lists: ListOptions,
    options: DownloadOptions,
    *,
    incremental_mode: str,
    retry_failed: frozenset[Cause],
    wandb: WandbRun | None = None,
) -> DownloadReport:
    """Make the shards of a source that a store does not have yet.

    Args:
        source: what `plan_urls` takes.
        store: the folder of the shards.
        lists: how the lists are read.
        options: how rows become shards.
        incremental_mode: "incremental", "extend" or "overwrite".
        retry_failed: causes of failed rows to fetch again in committed shards.
        wandb: what to log to Weights & Biases. None: nothing.

    Raises:
        ConfigurationError: causes are to be retried in a layout that does not store them.
        ShardIncomplete: some shards failed even when tried again; the others are committed.
        SetInUse, ForeignFiles, PlanMismatch: the folder is not for this run; nothing was changed.
    """
    if retry_failed and options.is_img2dataset:
        raise ConfigurationError(
            "retry_failed: expected layout 'dataset_assets', which stores causes, "
            "got layout 'img2dataset'"
        )
    store.check_writable()
    with Lease(store) as lease, _new_plan_folder(store, lease) as folder:
        if incremental_mode == "overwrite":
            delete_shard_set(store)
            lease.found_claim = True  # whatever is left is meant to be replaced
        begun = _read_extension(store, options) if incremental_mode == "extend" else None
        first_shard = begun.first_shard if begun is not None else 0
        plan = plan_once(
            source,
            folder,
            lists,
            samples_per_shard=options.samples_per_shard,
            first_shard=first_shard,
        )
        if begun is not None:
            _begin_extension(store, replace(begun, rows=_rows_of(plan)), was=begun.rows)
        shards = range(first_shard, plan.next_shard(first_shard))
        tasks = [ShardTask(shard, store.url) for shard in shards]
        results = []
        with new_reporter(plan.rows, wandb) as reporter:
            for result in download_shards(
                plan,
                folder,
                tasks,
                options,
                retry_failed=retry_failed,
                report=reporter.progress,
                lease=lease,
            ):
                results.append(result)
                reporter.result(result)
        _reconcile(plan.rows, tasks, results)
        store.delete(_EXTENSION)
        return _report(store, options, results)


def delete_shard_set(store: Store) -> None:
    """Delete the files of a shard set, of any output format, and nothing else in its folder."""
    formats = registry.names("output_format")
    suffixes = {registry.load("output_format", name).suffix for name in formats}
    endings = {RECORD_SUFFIX, SUFFIX, *filter(None, suffixes)}
    ending = "|".join(re.escape(each) for each in sorted(endings))
    owned = re.compile(
        rf"\d+({ending}|/.*)|{re.escape(MANIFEST)}|{re.escape(_EXTENSION)}|{FOLDER}/.*"
    )
    for info in list(store.list()):
        if owned.fullmatch(info.key):
            store.delete(info.key)


def _reconcile(rows: int, tasks: list[ShardTask], results: list[ShardResult]) -> None:
    """Compare what was done with what was planned.

    Raises:
        ShardIncomplete: a shard has no result, or the shards do not have the rows of the plan.
    """
    failed = [result for result in results if result.error is not None]
    if failed:
        raise ShardIncomplete(
            f"{len(failed)} of {len(tasks)} shards failed, the first with: {failed[0].error}. "
            "The other shards are committed; run again to resume"
        )
    done = {result.task.shard_id for result in results}
    missing = [task.shard_id for task in tasks if task.shard_id not in done]
    counted = sum(result.record.count for result in results if result.record is not None)
    if missing or counted != rows:
        raise ShardIncomplete(
            f"expected {rows:,} rows in {len(tasks)} shards, got {counted:,} rows and no result "
            f"for {len(missing)} shards; run again to make what is missing"
        )


def _report(store: Store, options: DownloadOptions, results: list[ShardResult]) -> DownloadReport:
    records = tuple(list_records(store))
    manifest = Manifest(records, options.fingerprint, options.output_format)
    made = [result.record for result in results if result.record is not None and not result.skipped]
    requests = sum(record.requests for record in made)
    return DownloadReport(manifest, len(made), len(results) - len(made), requests)


@dataclass(frozen=True, slots=True)
class _Extension:
    """An extension that has begun and not ended: which shards it makes, from which rows."""

    first_shard: int
    rows: str
    """Digest of the rows of its list; "" before the list was read."""


def _read_extension(store: Store, options: DownloadOptions) -> _Extension:
    """Return the extension to resume, or a new one behind the shards that exist.

    Raises:
        PlanMismatch: the set has another format or other options.
    """
    manifest = read_or_none(store.read, MANIFEST, parse_manifest)
    if manifest is not None and (manifest.output_format, manifest.fingerprint) != (
        options.output_format,
        options.fingerprint,
    ):
        raise PlanMismatch(
            f"{store.url}: expected the format and the options of the shards to extend, got "
            f"output_format {options.output_format!r} or others (size, encoding, columns); extend "
            "with the same ones, or use another output folder"
        )
    begun = read_or_none(store.read, _EXTENSION, lambda raw: _Extension(**json.loads(raw)))
    if begun is not None:
        return begun
    last = max((record.shard_id for record in list_records(store)), default=-1)
    return _Extension(last + 1, "")


def _begin_extension(store: Store, extension: _Extension, *, was: str) -> None:
    """Store what an extension makes before its first shard, so that it can be resumed.

    Raises:
        PlanMismatch: another list was being added, and that has not ended.
    """
    if was and was != extension.rows:
        raise PlanMismatch(
            f"{store.url}: expected the list whose extension was interrupted, got another; extend "
            f"with that list first, or delete {store.locate(_EXTENSION)} to leave it unfinished"
        )
    store.write(_EXTENSION, json.dumps(asdict(extension)).encode())


def _rows_of(plan: Plan) -> str:
    digests = (digest for part in plan.parts for digest in part.shard_fingerprints)
    return hashlib.sha256(":".join(digests).encode()).hexdigest()


@contextmanager
def _new_plan_folder(store: Store, lease: Lease) -> Iterator[Store]:
    """Yield a folder for the plan of this run, which is deleted at the end."""
    store.delete_tree(_PLANS)  # those of runs that were killed
    folder = f"{_PLANS}/{lease.run}"
    try:
        yield store.child(folder)
    finally:
        store.delete_tree(folder)
