"""`<dataset>/raw_urls`: the url lists, cut into shards. The plan of everything below; it also makes the partitions of `shards`."""

import hashlib
from typing import Any

import dagster as dg

from dataset_assets.orchestration.automation import freshness_policy, step_retries
from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import RAW_URLS, URL_LISTS, DatasetSpec
from dataset_assets.orchestration.partitions import (
    Partitioning,
    extend_partitioning,
    load_partitioning,
    register,
)
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.pipelines.download.plan_parts import read_shard
from dataset_assets.pipelines.download.plan_urls import plan_urls
from dataset_assets.records.plans import Plan
from dataset_assets.storage.store import Store

_PREVIEW_ROWS = 5
_DESCRIPTION = "The url lists cut into shards of {rows:,} rows: which row goes to which shard, for ever. New lists add shards and partitions."


def build_raw_urls(spec: DatasetSpec) -> dg.AssetsDefinition:
    """Build the asset."""

    @dg.asset(
        key=spec.key(RAW_URLS),
        deps=[spec.key(URL_LISTS)],
        io_manager_key="plans",
        group_name=spec.name,
        kinds={"parquet"},
        description=spec.describe(_DESCRIPTION.format(rows=spec.shards.samples_per_shard)),
        owners=spec.owners,
        tags=spec.all_tags,
        retry_policy=step_retries(spec),
        freshness_policy=freshness_policy(spec),
    )
    def raw_urls(
        context: dg.AssetExecutionContext, storage: StorageResource
    ) -> dg.MaterializeResult[Plan]:
        with as_failure():
            store = storage.store(spec.name, RAW_URLS)
            path = storage.resolve(spec.urls.path)
            plan = plan_urls(
                path,
                store,
                spec.urls.list_options(),
                samples_per_shard=spec.shards.samples_per_shard,
            )
            extend_partitioning(store, plan, spec.shards.shards_per_partition)
            partitioning = load_partitioning(
                store
            )  # of the newest plan: another run may have added lists meanwhile
            register(context.instance, spec.name, list(partitioning.shards()))
            found = plan_metadata(store, plan, partitioning)
        return dg.MaterializeResult(
            value=plan, metadata=found, data_version=dg.DataVersion(plan_version(plan))
        )

    return raw_urls


def plan_version(plan: Plan) -> str:
    """Return a version that changes when, and only when, rows or their shards do."""
    parts = [
        f"{plan.samples_per_shard}",
        *(f"{part.first_shard}:{part.fingerprint}" for part in plan.parts),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def plan_metadata(store: Store, plan: Plan, partitioning: Partitioning) -> dict[str, Any]:
    """Say what was planned, with a few rows to look at."""
    first = read_shard(store, plan, 0)
    lists = (
        {
            "list": part.name,
            "rows": part.rows,
            "first shard": part.first_shard,
            "shards": part.shard_count,
            "bytes": part.source_bytes,
        }
        for part in plan.parts
    )
    return {
        "dagster/row_count": plan.rows,
        "dagster/column_schema": metadata.column_schema(first.schema),
        "dagster/uri": store.url,
        "plan": metadata.link(store.locate("plan.json")),
        "shards": plan.shard_count,
        "partitions": partitioning.count,
        "lists": len(plan.parts),
        "list table": metadata.table(lists),
        "preview": metadata.table(
            first.slice(0, _PREVIEW_ROWS).select(plan.columns[::-1]).to_pylist()
        ),
    }
