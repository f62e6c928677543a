"""One run of a `shards` asset: which partitions, with what options, and one call of the library for all of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import Logger
from typing import Any

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.spec import RAW_URLS, SHARDS, DatasetSpec
from dataset_assets.orchestration.environment import read_environment, read_secret
from dataset_assets.orchestration.partitions import load_partitioning
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.progress import LogReporter
from dataset_assets.records.causes import Cause
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import ShardRecord, ShardTask
from dataset_assets.storage.store import Store

#: Seconds between two lines of progress: each is a row in Dagster's event log.
LOG_EVERY_S, LOG_LONG_RUNS_EVERY_S = 10.0, 60.0
_LONG_RUN_ROWS = 100_000


@dataclass(slots=True)
class Partition:
    """A partition of a run, and what became of it."""

    key: str
    store: Store
    shards: range
    records: list[ShardRecord] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def find_partitions(
    spec: DatasetSpec, storage: StorageResource, keys: Sequence[str]
) -> list[Partition]:
    """Look up which shards belong to the partitions of a run.

    Raises:
        ConfigurationError: a partition is not in the plan.
    """
    planned = load_partitioning(storage.store(spec.name, RAW_URLS)).shards()
    if unknown := [key for key in keys if key not in planned]:
        asset = spec.key(RAW_URLS).to_user_string()
        raise ConfigurationError(
            f"the plan has no partitions {', '.join(unknown)}: materialize {asset} to register those that it has"
        )
    return [Partition(key, storage.store(spec.name, SHARDS, key), planned[key]) for key in keys]


def download(
    plan_store: Store,
    plan: Plan,
    partitions: Sequence[Partition],
    options: DownloadOptions,
    again: frozenset[Cause],
    log: Logger,
) -> None:
    """Make the shards of all partitions in one call, so that one set of processes works on them; fill in what became of each.

    `again`: causes of failed rows that are fetched once more.
    """
    from dataset_assets.pipelines.download.download_shards import (
        download_shards,
    )  # brings libcurl and OpenCV

    by_folder = {partition.store.url: partition for partition in partitions}
    tasks = [
        ShardTask(shard, folder)
        for folder, partition in by_folder.items()
        for shard in partition.shards
    ]
    rows = sum(plan.rows_of(task.shard_id) for task in tasks)
    every_s = LOG_EVERY_S if rows < _LONG_RUN_ROWS else LOG_LONG_RUNS_EVERY_S
    with LogReporter(rows, every_s=every_s, log=log) as progress:
        for result in download_shards(
            plan, plan_store, tasks, options, retry_failed=again, report=progress.progress
        ):
            progress.result(result)
            partition = by_folder[result.task.folder]
            if result.record is not None:
                partition.records.append(result.record)
            else:
                partition.errors.append(f"shard {result.task.shard_id}: {result.error}")
    for partition in partitions:
        partition.records.sort(key=lambda record: record.shard_id)


def download_options(spec: DatasetSpec) -> DownloadOptions:
    """Add to a dataset's options what only the process that runs knows.

    Raises:
        ConfigurationError: a variable that the dataset requires is not set.
    """
    for name in spec.requires.env:
        read_secret(name)
    more: dict[str, Any] = {
        "allow_private_networks": (
            *spec.shards.allow_private_networks,
            *read_environment().allow_private_networks,
        )
    }
    if (credential := spec.shards.credential) is not None:
        more["headers"] = ((credential.header, credential.prefix + read_secret(credential.env)),)
        more["header_hosts"] = (credential.host,)
    return spec.shards.download_options(spec.urls, processes=os.cpu_count() or 1, **more)
