"""One run of a `shards` asset: its partitions, its options, and one call of the library for all."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import Logger
from typing import Any

from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.environment import read_environment, read_secret
from dataset_assets.orchestration.partitions import load_partitioning
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.raw_urls.section import RAW_URLS, Urls
from dataset_assets.orchestration.stages.shards.section import SHARDS, ShardsSection
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.progress import LOG_EVERY_S, LogReporter
from dataset_assets.records.causes import Cause
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import ShardRecord, ShardTask
from dataset_assets.shards.commits import read_manifest
from dataset_assets.storage.store import Store

#: Seconds between two lines of progress of a long run; each is a row in Dagster's event log.
LOG_LONG_RUNS_EVERY_S = 60.0
_LONG_RUN_ROWS = 100_000
_SHOWN_PARTITIONS = 5


@dataclass(slots=True)
class ShardPartition:
    """A partition of a run, and the result for each of its shards."""

    key: str
    store: Store
    shards: range
    records: list[ShardRecord] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def find_partitions(
    spec: DatasetSpec, storage: StorageResource, keys: Sequence[str]
) -> list[ShardPartition]:
    """Look up which shards belong to the partitions of a run.

    Raises:
        ConfigurationError: a partition is not in the plan.
    """
    planned = load_partitioning(storage.store(spec.name, RAW_URLS)).shards()
    if unknown := [key for key in keys if key not in planned]:
        asset = spec.key(RAW_URLS).to_user_string()
        raise ConfigurationError(
            f"the plan has no partitions {', '.join(unknown)}: materialize {asset} to register "
            "those that it has"
        )
    return [
        ShardPartition(key, storage.store(spec.name, SHARDS, key), planned[key]) for key in keys
    ]


def partition_sets(spec: DatasetSpec, storage: StorageResource) -> list[Store]:
    """Return the shard sets of all partitions of a dataset, in order.

    Raises:
        ConfigurationError: some are missing or incomplete.
    """
    shards = spec.key(SHARDS).to_user_string()
    try:
        planned = load_partitioning(storage.store(spec.name, RAW_URLS)).shards()
    except ObjectMissing as exc:
        plan = spec.key(RAW_URLS).to_user_string()
        raise ConfigurationError(
            f"there is no plan yet: materialize {plan}, then {shards}"
        ) from exc
    sets = {key: storage.store(spec.name, SHARDS, key) for key in planned}
    if missing := [key for key, store in sets.items() if _committed(store) != set(planned[key])]:
        more = ", …" if len(missing) > _SHOWN_PARTITIONS else ""
        named = ", ".join(missing[:_SHOWN_PARTITIONS]) + more
        raise ConfigurationError(
            f"{len(missing):,} of {len(planned):,} partitions of {shards} are missing ({named}): "
            "materialize them first"
        )
    return list(sets.values())


def _committed(store: Store) -> set[int]:
    """Return the numbers of the shards that the manifest of a set names; none without a set."""
    try:
        return {shard.shard_id for shard in read_manifest(store).shards}
    except ObjectMissing:
        return set()


def download_partitions(
    plan_store: Store,
    plan: Plan,
    partitions: Sequence[ShardPartition],
    options: DownloadOptions,
    retry_failed: frozenset[Cause],
    log: Logger,
) -> None:
    """Download the shards of all partitions in one call, and store the results in `partitions`.

    One call, so that one set of processes works on all of them. `retry_failed` names the causes
    whose rows are fetched again.
    """
    # Loads libcurl and OpenCV.
    from dataset_assets.pipelines.download.download_shards import download_shards

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
            plan, plan_store, tasks, options, retry_failed=retry_failed, report=progress.progress
        ):
            progress.result(result)
            partition = by_folder[result.task.folder]
            if result.record is not None:
                partition.records.append(result.record)
            else:
                partition.errors.append(f"shard {result.task.shard_id}: {result.error}")
    for partition in partitions:
        partition.records.sort(key=lambda record: record.shard_id)


def run_options(spec: DatasetSpec) -> DownloadOptions:
    """Build the options of a run: those of the YAML, and what only this process knows.

    Raises:
        ConfigurationError: an environment variable that the dataset requires is not set.
    """
    for name in spec.requires.env:
        read_secret(name)
    shards = spec.section(ShardsSection)
    networks = (*shards.allow_private_networks, *read_environment().allow_private_networks)
    fetch: dict[str, Any] = {"allow_private_networks": networks}
    if (credential := shards.credential) is not None:
        fetch["headers"] = ((credential.header, credential.prefix + read_secret(credential.env)),)
        fetch["header_hosts"] = (credential.host,)
    return shards.download_options(spec.section(Urls), processes=os.cpu_count() or 1, **fetch)
