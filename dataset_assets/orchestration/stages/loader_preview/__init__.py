"""The stage `loader_preview`: a batch of the staged shards as training gets it, drawn."""

from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.stages.loader_preview.asset import build
from dataset_assets.orchestration.stages.loader_preview.section import (
    LOADER_PREVIEW,
    LoaderPreview,
    problems,
)
from dataset_assets.orchestration.stages.staged.section import STAGED

STAGE = Stage(
    name=LOADER_PREVIEW,
    key="loader_preview",
    section=LoaderPreview,
    after=(STAGED,),
    refusal="expected no `{key}` with `source.{kind}`: only published datasets are staged",
    build=build,
    problems=problems,
)
