"""The stage `split_archives`: train, validation and test archives."""

from dataset_assets import registry
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.stages.shards.section import SHARDS
from dataset_assets.orchestration.stages.split_archives.asset import build
from dataset_assets.orchestration.stages.split_archives.section import (
    SPLIT_ARCHIVES,
    Splits,
    problems,
)
from dataset_assets.orchestration.stages.split_archives.source import ROLE, folder_source
from dataset_assets.orchestration.stages.staged.section import STAGED

STAGE = Stage(
    name=SPLIT_ARCHIVES,
    key="splits",
    section=Splits,
    sources={kind: folder_source(kind) for kind in registry.names(ROLE)},
    after=(SHARDS, STAGED),
    build=build,
    problems=problems,
)
