"""Download the shards of a plan: what is committed is kept, what is missing is made, what fails is tried again.

This is the asset `shards` of the graph and the middle of `download`.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dataset_assets.distribute import TaskLost
from dataset_assets.errors import ConfigurationError, PlanMismatch
from dataset_assets.pipelines.download._workers import ShardWork, prepare_workers
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.plan_urls import load_plan
from dataset_assets.pipelines.download.rows import EXTRA
from dataset_assets.records.causes import Cause
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import ShardProgress, ShardRecord, ShardResult, ShardTask
from dataset_assets.shards.commits import read_record, write_manifest
from dataset_assets.shards.naming import shard_name
from dataset_assets.shards.replace import roll_forward
from dataset_assets.shards.writer import INDEX
from dataset_assets.storage.store import Store, open_store

logger = logging.getLogger(__name__)


def download_shards(
    plan_store: Store,
    tasks: Sequence[ShardTask],
    options: DownloadOptions,
    *,
    retry_failed: frozenset[Cause] = frozenset(),
    report: Callable[[ShardProgress], None] | None = None,
) -> Iterator[ShardResult]:
    """Make the shards of `tasks` and yield how each ended, committed ones first with `skipped`.

    Idempotent: shards that are committed with the same rows and options are not touched, unless `retry_failed` names causes that
    they have: then only the rows with these causes are fetched again. The manifest of every folder is written at the end, also after an error.

    Raises:
        ConfigurationError: columns of the list have names that the shards need.
        PlanMismatch: a folder has shards of other rows or options; nothing was started.
        NotWritable, DiskFull, StorageError: for the whole run; committed shards stay.
    """
    run = _Run(load_plan(plan_store), plan_store.url, options, retry_failed)
    run.check_columns()
    folders = {task.folder: open_store(task.folder) for task in tasks}
    for store in folders.values():
        store.check_writable()
        roll_forward(store)
    committed = {task: run.committed(task, folders[task.folder]) for task in tasks}
    try:
        for task, record in committed.items():
            if record is not None and not run.is_wanted_again(record):
                yield ShardResult(task, record, skipped=True)
        waiting = [
            task
            for task, record in committed.items()
            if record is None or run.is_wanted_again(record)
        ]
        yield from run.attempt_all(waiting, report)
    finally:
        for store in folders.values() if options.layout != "img2dataset" else ():
            write_manifest(
                store, fingerprint=options.fingerprint, output_format=options.output_format
            )


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same over the attempts of one call."""

    plan: Plan
    plan_url: str
    options: DownloadOptions
    retry_failed: frozenset[Cause]

    def check_columns(self) -> None:
        """Refuse input columns that have the names of ours."""
        ours = (
            {*EXTRA, *(field.name for field in INDEX)}
            if self.options.layout != "img2dataset"
            else set()
        )
        taken = sorted(ours.intersection(self.plan.columns))
        if taken:
            raise ConfigurationError(
                f"the list's columns {', '.join(taken)} have names that the shards need: rename them in the list"
            )

    def fingerprint(self, shard_id: int) -> str:
        """Return what identifies the bytes of a shard: its rows and the options."""
        part = self.plan.part_of(shard_id)
        rows = part.shard_fingerprints[shard_id - part.first_shard]
        return hashlib.sha256(f"{self.options.fingerprint}:{rows}".encode()).hexdigest()

    def committed(self, task: ShardTask, store: Store) -> ShardRecord | None:
        """Return the record of a committed shard."""
        name = shard_name(task.shard_id, self.options.oom_shard_count)
        record = read_record(store, name)
        if record is not None and record.fingerprint != self.fingerprint(task.shard_id):
            raise PlanMismatch(
                f"{store.locate(record.record_name)} was made from other rows or with other options than asked for now; "
                "nothing was changed. Use another output folder, or incremental_mode 'overwrite' to start over, or 'extend' to add shards"
            )
        return record

    def is_wanted_again(self, record: ShardRecord) -> bool:
        """Tell whether a committed shard has rows to fetch again."""
        return any(record.causes.get(cause) for cause in self.retry_failed)

    def attempt_all(
        self, tasks: Sequence[ShardTask], report: Callable[[ShardProgress], None] | None
    ) -> Iterator[ShardResult]:
        """Yield the result of every task; those that fail are tried again after the others."""
        for attempts_left in range(self.options.max_shard_retry, -1, -1):
            failed: list[ShardTask] = []
            for result in self._attempt(tasks, report):
                if result.error is None or attempts_left == 0:
                    yield result
                    continue
                logger.warning(
                    "shard %d failed and will be tried again: %s",
                    result.task.shard_id,
                    result.error,
                )
                failed.append(result.task)
            if not failed:
                return
            tasks = failed

    def _attempt(
        self, tasks: Sequence[ShardTask], report: Callable[[ShardProgress], None] | None
    ) -> Iterator[ShardResult]:
        distributor = prepare_workers(self.options, min(self.options.processes_count, len(tasks)))
        fingerprints = {task.shard_id: self.fingerprint(task.shard_id) for task in tasks}
        work = ShardWork(self.plan_url, self.plan, fingerprints, self.options, self.retry_failed)
        for event in distributor.run(work, tasks):
            if isinstance(event, ShardResult):
                yield event
            elif isinstance(event, TaskLost):
                yield ShardResult(event.task, error=event.reason)
            elif report is not None:
                report(event)
