"""One call of `download`: plan the list, make what is missing, say what came of it."""

import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, ShardIncomplete
from dataset_assets.pipelines.download.arguments import DownloadReport
from dataset_assets.pipelines.download.download_shards import download_shards
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.plan_urls import plan_urls
from dataset_assets.pipelines.download.progress import reporters
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import Manifest, ShardProgress, ShardResult, ShardTask
from dataset_assets.shards.active_runs import is_of_the_dead, run_name
from dataset_assets.shards.commits import MANIFEST, RECORD_SUFFIX, list_records
from dataset_assets.shards.replace import FOLDER
from dataset_assets.shards.sidecar import SUFFIX
from dataset_assets.storage.store import Store
from dataset_assets.urls.lists import ListOptions

INCREMENTAL_MODES = ("incremental", "overwrite", "extend")
#: Every run plans in a folder of its own below this one, so that two at once do not get in each other's way.
_PLANS = "_plan"
_STARTED = (
    "started"  # shows `_clean` the folder of a run that was killed before its first file was whole
)
_ABANDONED_S = 24 * 3600.0


class DownloadRun:
    """One call: plan, make, report.

    Raises:
        ConfigurationError: the mode is unknown, or the layout has no causes to retry by.
    """

    def __init__(
        self,
        store: Store,
        lists: ListOptions,
        options: DownloadOptions,
        *,
        retry_failed: frozenset[Cause],
        incremental_mode: str,
        wandb_project: str | None,
    ) -> None:
        if incremental_mode not in INCREMENTAL_MODES:
            raise ConfigurationError(
                f"incremental_mode: expected one of {', '.join(INCREMENTAL_MODES)}, came {incremental_mode!r}"
            )
        if retry_failed and options.layout == "img2dataset":
            raise ConfigurationError(
                "retry_failed needs the column `cause`, which layout 'img2dataset' does not have; use 'dataset_assets'"
            )
        self._store, self._lists, self._options, self._retry_failed = (
            store,
            lists,
            options,
            retry_failed,
        )
        self._mode, self._wandb_project = incremental_mode, wandb_project

    def __call__(self, source: Any, config: Mapping[str, Any]) -> DownloadReport:
        """Run; `config` is what is logged of the arguments."""
        self._store.check_writable()
        if self._mode == "overwrite":
            delete_shard_set(self._store)
        self._clean()
        folder = f"{_PLANS}/{run_name()}"
        try:
            self._store.write(f"{folder}/{_STARTED}", b"", durable=False)
            results = self._make(source, self._store.child(folder), config)
        finally:
            self._store.delete_tree(folder)
        failed = [result for result in results if result.error is not None]
        if failed:
            raise ShardIncomplete(
                f"{len(failed)} of {len(results)} shards failed, the first with: {failed[0].error}. "
                "The others are committed; run again to go on"
            )
        manifest = Manifest(
            tuple(list_records(self._store)), self._options.fingerprint, self._options.output_format
        )
        made = [
            result.record for result in results if result.record is not None and not result.skipped
        ]
        return DownloadReport(
            manifest, len(made), len(results) - len(made), sum(record.requests for record in made)
        )

    def _make(self, source: Any, plan_store: Store, config: Mapping[str, Any]) -> list[ShardResult]:
        first = self._next_shard() if self._mode == "extend" else 0
        plan = plan_urls(
            source,
            plan_store,
            self._lists,
            samples_per_shard=self._options.samples_per_shard,
            first_shard=first,
        )
        tasks = [ShardTask(shard, self._store.url) for part in plan.parts for shard in part.shards]
        results = []
        with ExitStack() as stack:
            shown = [
                stack.enter_context(each)
                for each in reporters(plan.rows, wandb_project=self._wandb_project, config=config)
            ]

            def progress(event: ShardProgress) -> None:
                for each in shown:
                    each.progress(event)

            for result in download_shards(
                plan_store, tasks, self._options, retry_failed=self._retry_failed, report=progress
            ):
                results.append(result)
                for each in shown:
                    each.result(result)
        return results

    def _next_shard(self) -> int:
        return max((record.shard_id for record in list_records(self._store)), default=-1) + 1

    def _clean(self) -> None:
        """Remove what killed runs have left, but nothing that a run at the same time may use."""
        self._store.sweep(older_than_s=_ABANDONED_S)
        newest: dict[str, float] = {}
        for info in self._store.list(f"{_PLANS}/"):
            folder = info.key.rpartition("/")[0]
            newest[folder] = max(newest.get(folder, 0.0), info.modified)
        for folder, modified in newest.items():
            if time.time() - modified > _ABANDONED_S or is_of_the_dead(folder.rpartition("/")[2]):
                self._store.delete_tree(folder)


def delete_shard_set(store: Store) -> None:
    """Delete the files of a shard set, of any output format, and nothing else in its folder."""
    formats = registry.names("output_format")
    suffixes = {registry.load("output_format", name).suffix for name in formats}
    endings = {RECORD_SUFFIX, SUFFIX, *filter(None, suffixes)}
    ending = "|".join(re.escape(each) for each in sorted(endings))
    owned = re.compile(rf"\d+({ending}|/.*)|{re.escape(MANIFEST)}|({_PLANS}|{FOLDER})/.*")
    for info in list(store.list()):
        if owned.fullmatch(info.key):
            store.delete(info.key)
