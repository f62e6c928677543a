"""The stage `embeddings`: arrays of each sample, one asset for each encoder."""

from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.stages.embeddings.asset import build
from dataset_assets.orchestration.stages.embeddings.section import (
    EMBEDDINGS,
    embeddings_section,
    problems,
)
from dataset_assets.orchestration.stages.shards.section import SHARDS
from dataset_assets.orchestration.stages.staged.section import STAGED

STAGE = Stage(
    name=EMBEDDINGS,
    key="embeddings",
    section=embeddings_section(),
    after=(SHARDS, STAGED),
    refusal="expected no `{key}` with `source.{kind}`: only shards are encoded",
    build=build,
    problems=problems,
)
