"""Download the shards of a plan: keep what is committed, make what is missing, retry what fails.

This is the asset `shards` of the graph and the middle part of `download`.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from dataset_assets.distribute import TaskLost
from dataset_assets.errors import ConfigurationError, PlanMismatch
from dataset_assets.fetch.proxies import Proxies
from dataset_assets.pipelines.download.beside import check_digits, check_foreign, has_unrecorded
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.rows import EXTRA
from dataset_assets.records.causes import Cause
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import ShardProgress, ShardRecord, ShardResult, ShardTask
from dataset_assets.shards.commits import read_record, write_manifest
from dataset_assets.shards.lease import Lease
from dataset_assets.shards.naming import shard_name
from dataset_assets.shards.replace import roll_forward
from dataset_assets.shards.writer import INDEX
from dataset_assets.storage.store import Store, open_store

logger = logging.getLogger(__name__)


def download_shards(
    plan: Plan,
    plan_store: Store,
    tasks: Sequence[ShardTask],
    options: DownloadOptions,
    *,
    retry_failed: frozenset[Cause] = frozenset(),
    report: Callable[[ShardProgress], None] | None = None,
    lease: Lease | None = None,
) -> Iterator[ShardResult]:
    """Make the shards of `tasks` and yield how each ended, committed ones first with `skipped`.

    Idempotent: shards committed with the same rows and options are not changed. The manifest of
    every folder is written at the end, also after an error.

    Args:
        plan: the plan that the tasks are from.
        plan_store: the folder with its rows.
        tasks: the shards to make.
        options: how rows become shards.
        retry_failed: committed shards with rows that failed for one of these causes are opened
            again, and only these rows are fetched again.
        report: called with progress.
        lease: that of the folder of all tasks, if the caller holds it.

    Raises:
        ConfigurationError: columns of the list have names that the shards need, or the environment
            names a proxy that is not valid.
        PlanMismatch: a folder has shards of other rows or options; nothing was started.
        ForeignFiles: a folder has files of another tool under names of these shards; likewise.
        SetInUse: another run is at work in a folder; likewise.
        NotWritable, DiskFull, StorageError: for the whole run; committed shards stay.
    """
    run = _Run(plan, plan_store.url, options, retry_failed, _ProxyWatch(options, report))
    run.check_columns()
    folders = {task.folder: open_store(task.folder) for task in tasks}
    with ExitStack() as held:
        leases: dict[str, Lease] = {}
        for folder, store in folders.items():
            store.check_writable()
            leases[folder] = lease or held.enter_context(Lease(store))
            roll_forward(store, abandoned_s=-inf)  # no other run is at work
            if leases[folder].found_claim:
                store.sweep(older_than_s=-inf)
        tasks = [replace(task, lease=leases[task.folder].key) for task in tasks]
        committed = {task: run.read_committed(task, folders[task.folder]) for task in tasks}
        absent = [task for task, record in committed.items() if record is None]
        for folder, store in folders.items():
            run.check_folder(store, leases[folder], absent)
        try:
            yield from run.results(committed, leases)
        finally:
            for store in folders.values() if not options.is_img2dataset else ():
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
    report: Callable[[ShardProgress], None]

    def check_columns(self) -> None:
        """Refuse columns of the list that have the name of an added column."""
        if self.options.is_img2dataset:
            return
        added = {*EXTRA, *(field.name for field in INDEX)}
        taken = ", ".join(sorted(added.intersection(self.plan.columns)))
        if taken:
            raise ConfigurationError(
                f"save_additional_columns: expected no column with a name that the shards need, "
                f"got {taken}; rename it in the list"
            )

    def fingerprint(self, shard_id: int) -> str:
        """Return the sha256 (hex) of the rows and the options of a shard."""
        part = self.plan.part_of(shard_id)
        rows = part.shard_fingerprints[shard_id - part.first_shard]
        return hashlib.sha256(f"{self.options.fingerprint}:{rows}".encode()).hexdigest()

    def read_committed(self, task: ShardTask, store: Store) -> ShardRecord | None:
        """Return the record of a committed shard."""
        name = shard_name(task.shard_id, self.options.oom_shard_count)
        record = read_record(store, name)
        if record is not None and record.fingerprint != self.fingerprint(task.shard_id):
            raise PlanMismatch(
                f"{store.locate(record.record_name)} was made from other rows or with other "
                "options; nothing was changed. Use another output folder, or incremental_mode "
                "'overwrite' to start over, or 'extend' to add shards"
            )
        return record

    def check_folder(self, store: Store, lease: Lease, absent: Sequence[ShardTask]) -> None:
        """Refuse a folder with other names of shards, or with files that are not this package's."""
        check_digits(store, self.options)
        if not lease.found_claim:
            digits = self.options.oom_shard_count
            mine = [task for task in absent if task.folder == store.url]
            names = [shard_name(task.shard_id, digits) for task in mine]
            check_foreign(store, names, self.options.output_format)

    def has_rows_to_retry(self, record: ShardRecord) -> bool:
        """Tell whether a committed shard has rows to fetch again."""
        return any(record.causes.get(cause) for cause in self.retry_failed)

    def results(
        self, committed: Mapping[ShardTask, ShardRecord | None], leases: Mapping[str, Lease]
    ) -> Iterator[ShardResult]:
        """Yield what is committed and complete, make the rest, and tell the leases how it ended."""
        to_make = []
        for task, record in committed.items():
            if record is None or self.has_rows_to_retry(record):
                to_make.append(task)
                leases[task.folder].has_written = True
            else:
                yield ShardResult(task, record, skipped=True)
        failed = set()
        for result in self.make(to_make):
            if result.error is not None:
                failed.add(result.task.folder)
            yield result
        for folder, lease in leases.items():
            if folder not in failed and (lease.has_written or lease.found_claim):
                lease.is_complete = not has_unrecorded(open_store(folder))

    def make(self, tasks: Sequence[ShardTask]) -> Iterator[ShardResult]:
        """Yield the result of every task; those that fail are tried again after the others."""
        for attempts_left in range(self.options.max_shard_retry, -1, -1):
            failed: list[ShardTask] = []
            for result in self._attempt(tasks):
                if result.error is None or attempts_left == 0:
                    yield result
                    continue
                shard_id = result.task.shard_id
                logger.warning("retrying shard %d, which failed: %s", shard_id, result.error)
                failed.append(result.task)
            if not failed:
                return
            tasks = failed

    def _attempt(self, tasks: Sequence[ShardTask]) -> Iterator[ShardResult]:
        options = self.options
        distributor = options.new_distributor(min(options.processes_count, len(tasks)))
        fingerprints = {task.shard_id: self.fingerprint(task.shard_id) for task in tasks}
        work = partial(
            _make_shards, self.plan_url, self.plan, options, fingerprints, self.retry_failed
        )
        for event in distributor.run(work, tasks):
            if isinstance(event, ShardResult):
                yield event
            elif isinstance(event, TaskLost):
                yield ShardResult(event.task, error=event.reason)
            else:
                self.report(event)


class _ProxyWatch:
    """Passes progress on, and says once per run that the proxy fails."""

    def __init__(
        self, options: DownloadOptions, report: Callable[[ShardProgress], None] | None
    ) -> None:
        self._proxies = Proxies(options.fetch.proxy)
        self._report = report
        self._has_warned = False
        if self._proxies.is_used:
            logger.info("requests go through the proxy %s", self._proxies)

    def __call__(self, event: ShardProgress) -> None:
        if event.proxy_failure and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s (%s); check its address, user and password (the option proxy, or http_proxy, "
                "https_proxy, all_proxy and no_proxy of the environment) and which hosts it allows."
                ' retry_failed=["proxy_error"] fetches the rows again that failed for it',
                event.proxy_failure,
                self._proxies,
            )
        if self._report is not None:
            self._report(event)


def _make_shards(
    plan_url: str,
    plan: Plan,
    options: DownloadOptions,
    fingerprints: dict[int, str],
    retry_failed: frozenset[Cause],
    tasks: Iterator[ShardTask],
) -> Iterator[ShardProgress | ShardResult]:
    """Run `worker.make_shards`, which is loaded where it runs: this process may not need it."""
    from dataset_assets.pipelines.download.worker import make_shards

    return make_shards(plan_url, plan, options, fingerprints, retry_failed, tasks)
