"""Schedules of a dataset: reading its source again, and fetching rows again that failed for causes that may go away.

A schedule decides from what Dagster has recorded and never opens a shard, since a tick has a minute.
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from dataset_assets.orchestration.common.spec import SHARDS, DatasetSpec
from dataset_assets.orchestration.partitions import consecutive, partitions_name, range_tags
from dataset_assets.orchestration.stages.shards.asset import ShardsConfig
from dataset_assets.orchestration.stages.shards.page import CAUSES
from dataset_assets.records.causes import parse_causes

#: The rest waits for the next tick.
MAX_RUNS_PER_TICK = 100
_PAGE = 1000


def build_schedules(spec: DatasetSpec) -> list[dg.ScheduleDefinition]:
    """Build the schedules that the dataset asks for."""
    status = (
        dg.DefaultScheduleStatus.RUNNING
        if spec.automation.enabled
        else dg.DefaultScheduleStatus.STOPPED
    )
    schedules = []
    if spec.automation.refresh is not None:
        schedules.append(
            dg.ScheduleDefinition(
                name=spec.name_of("refresh"),
                cron_schedule=spec.automation.refresh,
                target=[spec.key(spec.first_stage)],
                default_status=status,
                description="Reads the source again.",
            )
        )
    if spec.automation.retry_failed is not None:
        schedules.append(
            _retry_failed(
                spec, spec.automation.retry_failed.cron, spec.automation.retry_failed.causes, status
            )
        )
    return schedules


def _retry_failed(
    spec: DatasetSpec, cron: str, causes: list[str], status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=spec.name_of("retry_failed"),
        cron_schedule=cron,
        target=[spec.key(SHARDS)],
        default_status=status,
        description=f"Fetches rows again that failed for: {', '.join(causes)}.",
    )
    def retry_failed(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        keys = context.instance.get_dynamic_partitions(partitions_name(spec.name))
        wanted = parse_causes(causes)
        failed = {
            key
            for key, found in recorded_causes(context.instance, spec, len(keys)).items()
            if wanted & found.keys()
        }
        most = spec.shards.max_partitions_per_run
        ranges = consecutive(keys, failed, MAX_RUNS_PER_TICK if most == "all" else most)
        config = dg.RunConfig(ops={spec.name_of(SHARDS): ShardsConfig(retry_failed=causes)})
        for first, last in ranges[:MAX_RUNS_PER_TICK]:
            tags = range_tags(first, last)
            yield dg.RunRequest(
                run_key=f"{context.scheduled_execution_time.isoformat()} {first}",
                run_config=config,
                tags=tags,
            )
        if not ranges:
            yield dg.SkipReason("no partition has rows that failed for these causes")

    return retry_failed


def recorded_causes(
    instance: dg.DagsterInstance, spec: DatasetSpec, partitions: int
) -> dict[str, Mapping[str, int]]:
    """Return the causes that the last materialization of each partition recorded. Reads at most twice as many events as there are partitions."""
    newest: dict[str, Mapping[str, int]] = {}
    cursor, seen = None, 0
    while len(newest) < partitions and seen < 2 * partitions + _PAGE:
        page = instance.fetch_materializations(spec.key(SHARDS), limit=_PAGE, cursor=cursor)
        for record in page.records:
            if record.partition_key is not None and record.asset_materialization is not None:
                newest.setdefault(record.partition_key, _causes(record.asset_materialization))
        cursor, seen = page.cursor, seen + len(page.records)
        if not page.has_more:
            break
    return newest


def _causes(materialization: dg.AssetMaterialization) -> Mapping[str, int]:
    value = materialization.metadata.get(CAUSES)
    if not isinstance(value, dg.TableMetadataValue):
        return {}
    return {str(record.data["cause"]): int(record.data["rows"] or 0) for record in value.records}
