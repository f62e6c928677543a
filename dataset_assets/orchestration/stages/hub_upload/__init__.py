"""The stage `hub_upload`: the splits, published to a repository."""

from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.stages.hub_upload.asset import build
from dataset_assets.orchestration.stages.hub_upload.section import HUB_UPLOAD, Hub, problems
from dataset_assets.orchestration.stages.split_archives.section import SPLIT_ARCHIVES

STAGE = Stage(
    name=HUB_UPLOAD,
    key="hub",
    section=Hub,
    after=(SPLIT_ARCHIVES,),
    refusal="what is published are the splits: expected `splits`, `{{}}` for the usual ones",
    build=build,
    problems=problems,
)
