"""`<dataset>/shards`: the samples, one shard set per partition. A run makes several partitions at once and keeps what is committed."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from dataset_assets.orchestration.automation import shards_condition, step_retries
from dataset_assets.orchestration.common.failures import as_failure, failure
from dataset_assets.orchestration.common.spec import RAW_URLS, SHARDS, DatasetSpec
from dataset_assets.orchestration.partitions import partitions_of
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.shards.checks import (
    readable_result,
    shard_checks,
    success_result,
)
from dataset_assets.orchestration.stages.shards.page import partition_metadata, run_metadata
from dataset_assets.orchestration.stages.shards.runs import (
    Partition,
    download,
    download_options,
    find_partitions,
)
from dataset_assets.pipelines.verify.shards import read_manifest, verify_set
from dataset_assets.records.causes import parse_causes
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import Manifest

POOL = "downloads"
_DESCRIPTION = "Samples in {format} shards, one shard set per partition. Beside each shard a Parquet file with one row per url, failed ones with their cause."


class ShardsConfig(dg.Config):
    """What the launchpad or a schedule may tell a run."""

    retry_failed: list[str] = Field(
        default=[],
        description="Fetch rows again that failed for these causes; `transient`: all that may go away.",
    )
    overwrite: bool = Field(
        default=False,
        description="Make the partitions of this run anew: after an option in the defs.yaml was changed.",
    )


def build_shards(spec: DatasetSpec) -> dg.AssetsDefinition:
    """Build the asset."""
    key, most = spec.key(SHARDS), spec.shards.max_partitions_per_run

    @dg.asset(
        key=key,
        ins={"plan": dg.AssetIn(spec.key(RAW_URLS))},
        partitions_def=partitions_of(spec.name),
        backfill_policy=dg.BackfillPolicy.single_run()
        if most == "all"
        else dg.BackfillPolicy.multi_run(most),
        io_manager_key="manifests",
        check_specs=shard_checks(key, spec),
        automation_condition=shards_condition(spec),
        retry_policy=step_retries(spec),
        pool=POOL,
        code_version=spec.shards.download_options(spec.urls).fingerprint[:12],
        group_name=spec.name,
        kinds={spec.shards.output_format, "image" if spec.shards.media == "image" else "files"},
        description=spec.describe(_DESCRIPTION.format(format=spec.shards.output_format)),
        owners=spec.owners,
        tags=spec.all_tags,
    )
    def shards(
        context: dg.AssetExecutionContext,
        config: ShardsConfig,
        plan: Plan,
        storage: StorageResource,
    ) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult[dict[str, Manifest]]]:
        with as_failure():
            again, options = parse_causes(config.retry_failed), download_options(spec)
            partitions = find_partitions(spec, storage, context.partition_keys)
            if config.overwrite:
                for partition in partitions:
                    partition.store.delete_tree("")
            download(
                storage.store(spec.name, RAW_URLS), plan, partitions, options, again, context.log
            )
            found = describe(spec, partitions)
            if failed := [partition for partition in partitions if partition.errors]:
                yield from (
                    dg.AssetMaterialization(key, partition=done, metadata=metadata)
                    for done, metadata in found.items()
                )
                raise failure(_reasons(failed, len(partitions)))
            for done, metadata in found.items():
                context.add_asset_metadata(metadata, partition_key=done)
            yield result(spec, partitions)

    return shards


def describe(spec: DatasetSpec, partitions: Sequence[Partition]) -> dict[str, dict[str, Any]]:
    """Return the metadata of every partition that is done."""
    done = [partition for partition in partitions if not partition.errors]
    shared = run_metadata([record for partition in done for record in partition.records])
    has_images = spec.shards.media == "image"
    return {
        partition.key: {
            **partition_metadata(partition.store, partition.records, has_images=has_images),
            **shared,
        }
        for partition in done
    }


def result(
    spec: DatasetSpec, partitions: Sequence[Partition]
) -> dg.MaterializeResult[dict[str, Manifest]]:
    """Return what the partitions of a run are: their manifests, and what the checks say."""
    records = [record for partition in partitions for record in partition.records]
    problems = {partition.key: verify_set(partition.store, deep=False) for partition in partitions}
    manifests = {partition.key: read_manifest(partition.store) for partition in partitions}
    checks = [readable_result(problems), success_result(records, spec.shards.min_success_rate)]
    return dg.MaterializeResult(value=manifests, check_results=checks)


def _reasons(failed: Sequence[Partition], total: int) -> str:
    reasons = "; ".join(f"{partition.key} ({', '.join(partition.errors)})" for partition in failed)
    return f"{len(failed)} of {total} partitions failed: {reasons}. The others are done; run again for these"
