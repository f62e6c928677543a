"""`<dataset>/raw_urls`: the plan that assigns the rows of URL lists to shards.

It also registers the partitions of `shards` with Dagster.
"""

import hashlib

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.automation import freshness_policy, step_retries
from dataset_assets.orchestration.common.external import external_asset
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.partitions import (
    extend_partitioning,
    load_partitioning,
    register,
)
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.raw_urls.page import plan_metadata
from dataset_assets.orchestration.stages.raw_urls.section import (
    RAW_URLS,
    URL_LISTS,
    Planning,
    Urls,
)
from dataset_assets.orchestration.stages.raw_urls.sensor import build_list_sensor
from dataset_assets.pipelines.download.plan_urls import plan_urls
from dataset_assets.records.plans import Plan

_DESCRIPTION = (
    "The URL lists, cut into shards of {rows:,} rows. The assignment of rows to shards never "
    "changes; new lists add shards and partitions."
)


def build(spec: DatasetSpec, _: Stage | None) -> dg.Definitions:
    """Build the stage."""
    urls = spec.section(Urls)
    return dg.Definitions(
        assets=[url_lists(spec, urls), raw_urls_asset(spec, urls, spec.section(Planning))],
        sensors=[build_list_sensor(spec, urls)],
    )


def url_lists(spec: DatasetSpec, urls: Urls) -> dg.AssetSpec:
    """Describe the lists, which are external."""
    path = metadata.plain_text(urls.path)
    about = {"path": path, "format": urls.input_format}
    return external_asset(spec, URL_LISTS, f"URL lists at `{path}`.", about)


def raw_urls_asset(spec: DatasetSpec, urls: Urls, planning: Planning) -> dg.AssetsDefinition:
    """Build the asset."""
    rows = planning.samples_per_shard

    @dg.asset(
        key=spec.key(RAW_URLS),
        deps=[spec.key(URL_LISTS)],
        io_manager_key="plans",
        group_name=spec.name,
        kinds={"parquet"},
        description=spec.describe(_DESCRIPTION.format(rows=rows)),
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


def plan_version(plan: Plan) -> str:
    """Return a version that changes if and only if rows or their shards change."""
    parts = [f"{part.first_shard}:{part.fingerprint}" for part in plan.parts]
    lines = [f"{plan.samples_per_shard}", *parts]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
