"""The repository of a dataset, opened when a run or a sensor needs it."""

from dataset_assets.hub import target
from dataset_assets.orchestration.environment import read_hub_token
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.hub_upload.section import Hub

HUB_FOLDER = "hub"


def open_target(hub: Hub, storage: StorageResource) -> target.PublishTarget:
    """Open the repository. The token is read now, and known to the target only.

    Raises:
        ConfigurationError: HF_TOKEN is not set, or the folder is not one of this machine.
    """
    options = target.TargetOptions(
        root=storage.resolve(hub.root or HUB_FOLDER),
        token=read_hub_token() if target.is_remote(hub.target) else None,
        private=hub.private,
    )
    return target.open_target(hub.target, hub.repo, options)
