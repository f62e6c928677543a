"""`<dataset>/shards`: the samples, one shard set per partition.

A run downloads several partitions at once and keeps what is committed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from dataset_assets.orchestration.common.assets import stage_asset
from dataset_assets.orchestration.common.automation import partition_condition
from dataset_assets.orchestration.common.failures import as_failure, failure
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.partitions import partitions_of
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.raw_urls.section import RAW_URLS, Urls
from dataset_assets.orchestration.stages.shards.checks import (
    readable_result,
    shard_checks,
    success_result,
)
from dataset_assets.orchestration.stages.shards.page import partition_metadata, run_metadata
from dataset_assets.orchestration.stages.shards.runs import (
    ShardPartition,
    download_partitions,
    find_partitions,
    run_options,
)
from dataset_assets.orchestration.stages.shards.schedule import retry_schedules
from dataset_assets.orchestration.stages.shards.section import SHARDS, ShardsSection
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.records.causes import parse_causes
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import Manifest
from dataset_assets.shards.commits import read_manifest

POOL = "downloads"
_DESCRIPTION = (
    "Samples in {format} shards, one shard set per partition. Next to each shard, a Parquet file "
    "has one row per URL; failed rows have their cause."
)


class ShardsConfig(dg.Config):
    """Options of a run, from the launchpad or a schedule."""

    retry_failed: list[str] = Field(
        default=[],
        description="Retry rows that failed for these causes; `transient` names all that can pass.",
    )
    overwrite: bool = Field(
        default=False,
        description="Delete and recreate the partitions, after an option of the YAML changed.",
    )


def build(spec: DatasetSpec, _: Stage | None) -> dg.Definitions:
    """Build the stage."""
    shards = spec.section(ShardsSection)
    return dg.Definitions(
        assets=[shards_asset(spec, shards)],
        schedules=retry_schedules(spec, shards.max_partitions_per_run),
    )


def shards_asset(spec: DatasetSpec, section: ShardsSection) -> dg.AssetsDefinition:
    """Build the asset."""
    key = spec.key(SHARDS)

    @stage_asset(
        spec,
        SHARDS,
        _DESCRIPTION.format(format=section.output_format),
        ins={"plan": dg.AssetIn(spec.key(RAW_URLS))},
        partitions_def=partitions_of(spec.name),
        backfill_policy=_backfill_policy(section),
        io_manager_key="manifests",
        check_specs=shard_checks(key, section.min_success_rate),
        automation_condition=partition_condition(spec),
        pool=POOL,
        code_version=section.download_options(spec.section(Urls)).fingerprint[:12],
        kinds={section.output_format, "image" if section.media == "image" else "files"},
    )
    def shards(
        context: dg.AssetExecutionContext,
        config: ShardsConfig,
        plan: Plan,
        storage: StorageResource,
    ) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult[dict[str, Manifest]]]:
        with as_failure():
            retry_failed = parse_causes(config.retry_failed)
            options = run_options(spec)
            partitions = find_partitions(spec, storage, context.partition_keys)
            if config.overwrite:
                for partition in partitions:
                    partition.store.delete_tree("")
            plan_store = storage.store(spec.name, RAW_URLS)
            download_partitions(plan_store, plan, partitions, options, retry_failed, context.log)
            done = partitions_metadata(partitions, has_images=section.media == "image")
            if failed := [partition for partition in partitions if partition.errors]:
                for partition_key, found in done.items():
                    yield dg.AssetMaterialization(key, partition=partition_key, metadata=found)
                raise failure(_reasons(failed, len(partitions)))
            for partition_key, found in done.items():
                context.add_asset_metadata(found, partition_key=partition_key)
            yield materialized(partitions, section.min_success_rate)

    return shards


def _backfill_policy(section: ShardsSection) -> dg.BackfillPolicy:
    most = section.max_partitions_per_run
    return dg.BackfillPolicy.single_run() if most == "all" else dg.BackfillPolicy.multi_run(most)


def partitions_metadata(
    partitions: Sequence[ShardPartition], *, has_images: bool
) -> dict[str, dict[str, Any]]:
    """Return the metadata of every partition without an error."""
    done = [partition for partition in partitions if not partition.errors]
    shared = run_metadata([record for partition in done for record in partition.records])
    return {
        partition.key: {
            **partition_metadata(partition.store, partition.records, has_images=has_images),
            **shared,
        }
        for partition in done
    }


def materialized(
    partitions: Sequence[ShardPartition], min_success_rate: float
) -> dg.MaterializeResult[dict[str, Manifest]]:
    """Return the manifests of the partitions of a run, and the results of the checks."""
    records = [record for partition in partitions for record in partition.records]
    manifests = {partition.key: read_manifest(partition.store) for partition in partitions}
    problems = {
        partition.key: verify_set(partition.store, deep=False, manifest=manifests[partition.key])
        for partition in partitions
    }
    checks = [readable_result(problems), success_result(records, min_success_rate)]
    return dg.MaterializeResult(value=manifests, check_results=checks)


def _reasons(failed: Sequence[ShardPartition], total: int) -> str:
    reasons = "; ".join(f"{partition.key} ({', '.join(partition.errors)})" for partition in failed)
    return (
        f"{len(failed)} of {total} partitions failed: {reasons}. The others are committed; run "
        "again to retry the failed ones"
    )
