"""The stage `training_set`: where the samples for training are, with their resolution buckets."""

from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.stages.shards.section import SHARDS
from dataset_assets.orchestration.stages.split_archives.section import SPLIT_ARCHIVES
from dataset_assets.orchestration.stages.staged.section import STAGED
from dataset_assets.orchestration.stages.training_set.asset import build
from dataset_assets.orchestration.stages.training_set.section import (
    TRAINING_SET,
    TrainingSetSection,
    problems,
)

STAGE = Stage(
    name=TRAINING_SET,
    key="training_set",
    section=TrainingSetSection,
    after=(SPLIT_ARCHIVES, SHARDS, STAGED),
    refusal="expected no `{key}` with `source.{kind}` without `splits`: it reads shards or a split",
    build=build,
    problems=problems,
)
