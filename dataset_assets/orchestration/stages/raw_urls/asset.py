"""`<dataset>/raw_urls`: the plan that assigns the rows of URL lists to shards.

It also registers the partitions of `shards` with Dagster. The sensor `new_lists` plans again when
lists are added or change.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.assets import external_asset, stage_asset
from dataset_assets.orchestration.common.automation import freshness_policy
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.sensors import build_source_sensor
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.partitions import (
    Partitioning,
    extend_partitioning,
    load_partitioning,
    register,
)
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.raw_urls.section import (
    RAW_URLS,
    URL_LISTS,
    Planning,
    Urls,
)
from dataset_assets.pipelines.download.plan_parts import read_shard
from dataset_assets.pipelines.download.plan_urls import PLAN, plan_urls
from dataset_assets.records.plans import Plan
from dataset_assets.storage.store import Store
from dataset_assets.urls.sources import open_lists

_DESCRIPTION = (
    "The URL lists, cut into shards of {rows:,} rows. The assignment of rows to shards never "
    "changes; new lists add shards and partitions."
)
_PREVIEW_ROWS = 5


def build(spec: DatasetSpec, _: Stage | None) -> dg.Definitions:
    """Build the stage."""
    urls = spec.section(Urls)
    return dg.Definitions(
        assets=[url_lists(spec, urls), raw_urls_asset(spec, urls, spec.section(Planning))],
        sensors=[list_sensor(spec, urls)],
    )


def url_lists(spec: DatasetSpec, urls: Urls) -> dg.AssetSpec:
    """Describe the lists, which are external."""
    path = metadata.plain_text(urls.path)
    about = {"path": path, "format": urls.input_format}
    return external_asset(spec, URL_LISTS, f"URL lists at `{path}`.", about)


def raw_urls_asset(spec: DatasetSpec, urls: Urls, planning: Planning) -> dg.AssetsDefinition:
    """Build the asset."""
    rows = planning.samples_per_shard

    @stage_asset(
        spec,
        RAW_URLS,
        _DESCRIPTION.format(rows=rows),
        deps=[spec.key(URL_LISTS)],
        io_manager_key="plans",
        kinds={"parquet"},
        freshness_policy=freshness_policy(spec),
    )
    def raw_urls(
        context: dg.AssetExecutionContext, storage: StorageResource
    ) -> dg.MaterializeResult[Plan]:
        with as_failure():
            store = storage.store(spec.name, RAW_URLS)
            path = storage.resolve(urls.path)
            plan = plan_urls(path, store, urls.list_options(), samples_per_shard=rows)
            extend_partitioning(store, plan, planning.shards_per_partition)
            # Read back: another run may have added lists in the meantime.
            partitioning = load_partitioning(store)
            register(context.instance, spec.name, list(partitioning.shards()))
            found = plan_metadata(store, plan, partitioning)
        version = dg.DataVersion(plan_version(plan))
        return dg.MaterializeResult(value=plan, metadata=found, data_version=version)

    return raw_urls


def list_sensor(spec: DatasetSpec, urls: Urls) -> dg.SensorDefinition:
    """Build the sensor that watches the lists."""

    def listing(storage: StorageResource) -> Iterator[tuple[str, int | None, float | None]]:
        for found in open_lists(storage.resolve(urls.path), urls.list_options()):
            yield found.name, found.bytes, found.modified

    return build_source_sensor(spec, RAW_URLS, "lists", listing, description="Plans new URL lists.")


def plan_version(plan: Plan) -> str:
    """Return a version that changes if and only if rows or their shards change."""
    parts = [f"{part.first_shard}:{part.fingerprint}" for part in plan.parts]
    lines = [f"{plan.samples_per_shard}", *parts]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def plan_metadata(store: Store, plan: Plan, partitioning: Partitioning) -> dict[str, Any]:
    """Describe what was planned, with a few rows of the lists."""
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
    preview = first.slice(0, _PREVIEW_ROWS).select(plan.columns[::-1])
    return {
        "dagster/row_count": plan.rows,
        "dagster/column_schema": metadata.column_schema(first.schema),
        "dagster/uri": store.url,
        "plan": metadata.link(store.locate(PLAN)),
        "shards": plan.shard_count,
        "partitions": partitioning.count,
        "lists": len(plan.parts),
        "list table": metadata.table(lists),
        "preview": metadata.table(preview.to_pylist()),
    }
