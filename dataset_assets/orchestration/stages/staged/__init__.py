"""The stage `staged`: a published dataset, read from its archives into shards."""

from dataset_assets import registry
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.stages.staged.asset import build, partition_sets
from dataset_assets.orchestration.stages.staged.section import (
    STAGED,
    StagedSection,
    published_source,
)
from dataset_assets.pipelines.stage.open_staging import ROLE

STAGE = Stage(
    name=STAGED,
    key="staged",
    section=StagedSection,
    is_optional=True,
    sources={kind: published_source(kind) for kind in registry.names(ROLE)},
    refusal="expected no `{key}` with `source.{kind}`: only published datasets are staged",
    build=build,
    shard_sets=partition_sets,
)
