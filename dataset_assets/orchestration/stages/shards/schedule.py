"""The schedule `retry_failed`: fetches rows again that failed for causes that may have passed.

It decides from what Dagster has recorded and never opens a shard, because a tick may take at most a
minute.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import dagster as dg

from dataset_assets.orchestration.common.dataset_sections import RetryFailed
from dataset_assets.orchestration.common.schedules import schedule_status
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.partitions import consecutive, partitions_name, range_tags
from dataset_assets.orchestration.stages.shards.section import CAUSES, SHARDS
from dataset_assets.records.causes import parse_causes

#: Further runs wait for the next tick.
MAX_RUNS_PER_TICK = 100
_PAGE = 1000


def retry_schedules(
    spec: DatasetSpec, max_partitions_per_run: int | Literal["all"]
) -> list[dg.ScheduleDefinition]:
    """Build the schedule if the YAML asks for it."""
    if spec.automation.retry_failed is None:
        return []
    most = MAX_RUNS_PER_TICK if max_partitions_per_run == "all" else max_partitions_per_run
    return [_retry_schedule(spec, spec.automation.retry_failed, most)]


def _retry_schedule(spec: DatasetSpec, retry: RetryFailed, most: int) -> dg.ScheduleDefinition:
    causes = parse_causes(retry.causes)
    config = {"retry_failed": list(retry.causes), "overwrite": False}
    run_config = {"ops": {spec.name_of(SHARDS): {"config": config}}}

    @dg.schedule(
        name=spec.name_of("retry_failed"),
        cron_schedule=retry.cron,
        target=[spec.key(SHARDS)],
        default_status=schedule_status(spec),
        description=f"Fetches rows again that failed for: {', '.join(retry.causes)}.",
    )
    def retry_failed(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        keys = context.instance.get_dynamic_partitions(partitions_name(spec.name))
        recorded = recorded_causes(context.instance, spec.key(SHARDS), len(keys))
        failed = {key for key, found in recorded.items() if causes & found.keys()}
        ranges = consecutive(keys, failed, most)
        for first, last in ranges[:MAX_RUNS_PER_TICK]:
            yield dg.RunRequest(
                run_key=f"{context.scheduled_execution_time.isoformat()} {first}",
                run_config=run_config,
                tags=range_tags(first, last),
            )
        if not ranges:
            yield dg.SkipReason("no partition has rows that failed for these causes")

    return retry_failed


def recorded_causes(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: int
) -> dict[str, Mapping[str, int]]:
    """Return the causes that the last materialization of each partition recorded.

    Reads at most about twice as many events as there are partitions.
    """
    newest: dict[str, Mapping[str, int]] = {}
    cursor = None
    seen = 0
    while len(newest) < partitions and seen < 2 * partitions + _PAGE:
        page = instance.fetch_materializations(asset, limit=_PAGE, cursor=cursor)
        for record in page.records:
            if record.partition_key is not None and record.asset_materialization is not None:
                newest.setdefault(record.partition_key, _causes(record.asset_materialization))
        cursor = page.cursor
        seen += len(page.records)
        if not page.has_more:
            break
    return newest


def _causes(materialization: dg.AssetMaterialization) -> Mapping[str, int]:
    value = materialization.metadata.get(CAUSES)
    if not isinstance(value, dg.TableMetadataValue):
        return {}
    return {str(record.data["cause"]): int(record.data["rows"] or 0) for record in value.records}
