"""The repository of a dataset, opened when a run or a sensor needs it."""

from dataset_assets.hub.target import Target
from dataset_assets.hub.targets.directory import DirectoryTarget
from dataset_assets.hub.targets.huggingface import HuggingFaceTarget
from dataset_assets.orchestration.environment import read_hub_token
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.hub_upload.section import Hub

HUB_FOLDER = "hub"


def open_target(hub: Hub, storage: StorageResource) -> Target:
    """Open the repository. The token is read now, and known to the target only.

    Raises:
        ConfigurationError: HF_TOKEN is not set, or the folder is not one of this machine.
    """
    if hub.is_remote:
        return HuggingFaceTarget(hub.repo, token=read_hub_token(), private=hub.private)
    return DirectoryTarget(storage.resolve(hub.root or HUB_FOLDER), hub.repo)
