"""Opens the repository of a dataset for a run or a sensor."""

from dataset_assets.hub.target import PublishTarget, TargetOptions, open_target
from dataset_assets.orchestration.environment import read_hub_token
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.hub_upload.section import Hub

HUB_FOLDER = "hub"


def open_repository(hub: Hub, storage: StorageResource) -> PublishTarget:
    """Open the repository. The token is read here and passed to the target only.

    Raises:
        ConfigurationError: HF_TOKEN is not set, or the folder is not local.
    """
    options = TargetOptions(
        root=storage.resolve(hub.root or HUB_FOLDER),
        token=read_hub_token() if hub.is_remote else None,
        private=hub.private,
    )
    return open_target(hub.target, hub.repo, options)
