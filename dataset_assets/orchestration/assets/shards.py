"""`<dataset>/shards`: the samples, one shard set per partition. A run makes several partitions in one call and keeps what is committed."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg
from pydantic import Field

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.orchestration.assets.raw_urls import STAGE as PLAN_STAGE
from dataset_assets.orchestration.automation import shards_condition, step_retries
from dataset_assets.orchestration.causes import parse_causes
from dataset_assets.orchestration.checks import readable_result, shard_checks, success_result
from dataset_assets.orchestration.environment import read_environment, read_secret
from dataset_assets.orchestration.failures import MAX_MESSAGE, as_failure
from dataset_assets.orchestration.metadata import plain_text
from dataset_assets.orchestration.partitions import load_partitioning, partitions_of
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.shard_metadata import partition_metadata, run_metadata
from dataset_assets.orchestration.spec import DatasetSpec
from dataset_assets.pipelines.inspect_shards import read_manifest, verify_set
from dataset_assets.pipelines.options import DownloadOptions
from dataset_assets.pipelines.progress import LogReporter
from dataset_assets.records import Manifest, Plan, ShardRecord, ShardTask
from dataset_assets.storage._base import Store

STAGE = "shards"
POOL = "downloads"
_DESCRIPTION = "Samples in {format} shards, one shard set per partition. Beside each shard a Parquet file with one row per url, failed ones with their cause."
_LOG_EVERY_S, _LOG_LONG_RUNS_EVERY_S, _LONG_RUN_ROWS = 10.0, 60.0, 100_000


class ShardsConfig(dg.Config):
    """What the launchpad or a schedule may tell a run."""

    retry_failed: list[str] = Field(default=[], description="Fetch rows again that failed for these causes; `transient`: all that may go away.")
    overwrite: bool = Field(default=False, description="Make the partitions of this run anew: after an option in the defs.yaml was changed.")


@dataclass(slots=True)
class Partition:
    """A partition of a run and what became of it."""

    key: str
    store: Store
    shards: range
    records: list[ShardRecord] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def build_shards(spec: DatasetSpec) -> dg.AssetsDefinition:
    """Build the asset."""
    key, most = spec.key(STAGE), spec.shards.max_partitions_per_run

    @dg.asset(
        key=key,
        ins={"plan": dg.AssetIn(spec.key(PLAN_STAGE))},
        partitions_def=partitions_of(spec.name),
        backfill_policy=dg.BackfillPolicy.single_run() if most == "all" else dg.BackfillPolicy.multi_run(most),
        io_manager_key="manifests",
        check_specs=shard_checks(key, spec),
        automation_condition=shards_condition(spec),
        retry_policy=step_retries(spec),
        pool=POOL,
        group_name=spec.name,
        kinds={spec.shards.output_format, "image" if spec.shards.media == "image" else "files"},
        description="\n\n".join(filter(None, [spec.description, _DESCRIPTION.format(format=spec.shards.output_format)])),
        owners=spec.owners,
        tags=spec.all_tags,
    )
    def shards(
        context: dg.AssetExecutionContext, config: ShardsConfig, plan: Plan, storage: StorageResource
    ) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult[dict[str, Manifest]]]:
        with as_failure():
            partitions = find_partitions(spec, storage, context.partition_keys)
            download(spec, storage, plan, partitions, config, context)
            found = describe(spec, partitions)
            failed = [partition for partition in partitions if partition.errors]
            if failed:  # what is done counts as made, although the run fails
                yield from (dg.AssetMaterialization(key, partition=done, metadata=metadata) for done, metadata in found.items())
                raise failure(failed, len(partitions))
            for done, metadata in found.items():
                context.add_asset_metadata(metadata, partition_key=done)
            problems = {partition.key: verify_set(partition.store, deep=False) for partition in partitions}
            manifests = {partition.key: read_manifest(partition.store) for partition in partitions}
        records = [record for partition in partitions for record in partition.records]
        checks = [readable_result(problems), success_result(records, spec.shards.min_success_rate)]
        yield dg.MaterializeResult(value=manifests, check_results=checks)

    return shards


def find_partitions(spec: DatasetSpec, storage: StorageResource, keys: Sequence[str]) -> list[Partition]:
    """Look up which shards belong to the partitions of a run.

    Raises:
        ConfigurationError: a partition is not in the plan.
    """
    planned = load_partitioning(storage.store(spec.name, PLAN_STAGE)).shards()
    unknown = [key for key in keys if key not in planned]
    if unknown:
        asset = spec.key(PLAN_STAGE).to_user_string()
        raise ConfigurationError(f"the plan has no partitions {', '.join(unknown)}: materialize {asset} to register those that it has")
    return [Partition(key, storage.store(spec.name, STAGE, key), planned[key]) for key in keys]


def download(
    spec: DatasetSpec, storage: StorageResource, plan: Plan, partitions: Sequence[Partition], config: ShardsConfig, context: dg.AssetExecutionContext
) -> None:
    """Make all shards of a run in one call, so that one set of processes works on them; fill in what became of them."""
    from dataset_assets.pipelines.download_shards import download_shards  # brings libcurl and OpenCV

    if config.overwrite:
        for partition in partitions:
            partition.store.delete_tree("")
    by_folder = {partition.store.url: partition for partition in partitions}
    tasks = [ShardTask(shard, folder) for folder, partition in by_folder.items() for shard in partition.shards]
    rows = sum(rows_of(plan, task.shard_id) for task in tasks)
    every_s = _LOG_EVERY_S if rows < _LONG_RUN_ROWS else _LOG_LONG_RUNS_EVERY_S
    options, again = download_options(spec), parse_causes(config.retry_failed)
    with LogReporter(rows, every_s=every_s, log=context.log) as progress:
        results = download_shards(storage.store(spec.name, PLAN_STAGE), tasks, options, retry_failed=again, report=progress.progress)
        for result in results:
            progress.result(result)
            partition = by_folder[result.task.folder]
            if result.record is not None:
                partition.records.append(result.record)
            else:
                partition.errors.append(f"shard {result.task.shard_id}: {result.error}")


def rows_of(plan: Plan, shard_id: int) -> int:
    """Return how many rows a planned shard has."""
    for part in plan.parts:
        before = shard_id - part.first_shard
        if 0 <= before < part.shard_count:
            return min(plan.samples_per_shard, part.rows - before * plan.samples_per_shard)
    return 0


def download_options(spec: DatasetSpec) -> DownloadOptions:
    """Add to a dataset's options what only the running process knows.

    Raises:
        ConfigurationError: a credential is missing.
    """
    for name in spec.requires.env:
        read_secret(name)
    more: dict[str, object] = {"allow_private_networks": (*spec.shards.allow_private_networks, *read_environment().allow_private_networks)}
    if (credential := spec.shards.credential) is not None:
        more["headers"] = ((credential.header, credential.prefix + read_secret(credential.env)),)
        more["header_hosts"] = (credential.host,)
    return spec.shards.download_options(spec.source.urls, fetch=spec.shards.fetch_options(**more), processes=os.cpu_count() or 1)


def describe(spec: DatasetSpec, partitions: Sequence[Partition]) -> dict[str, dict[str, object]]:
    """Return the metadata of every finished partition."""
    done = [partition for partition in partitions if not partition.errors]
    shared = run_metadata([record for partition in done for record in partition.records])
    has_images = spec.shards.media == "image"
    return {partition.key: {**partition_metadata(partition.store, partition.records, has_images=has_images), **shared} for partition in done}


def failure(failed: Sequence[Partition], total: int) -> dg.Failure:
    """Name the partitions that failed, and why."""
    reasons = "; ".join(f"{partition.key} ({', '.join(partition.errors)})" for partition in failed)
    message = f"{len(failed)} of {total} partitions failed: {reasons}. The others are done; run again for these."
    return dg.Failure(plain_text(message, MAX_MESSAGE))
