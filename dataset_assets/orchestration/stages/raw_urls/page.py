"""Metadata of `raw_urls`: what was planned, with a few rows of the lists."""

from typing import Any

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.partitions import Partitioning
from dataset_assets.pipelines.download.plan_parts import read_shard
from dataset_assets.records.plans import Plan
from dataset_assets.storage.store import Store

_PREVIEW_ROWS = 5


def plan_metadata(store: Store, plan: Plan, partitioning: Partitioning) -> dict[str, Any]:
    """Describe a plan."""
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
        "plan": metadata.link(store.locate("plan.json")),
        "shards": plan.shard_count,
        "partitions": partitioning.count,
        "lists": len(plan.parts),
        "list table": metadata.table(lists),
        "preview": metadata.table(preview.to_pylist()),
    }
