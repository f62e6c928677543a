"""`hub:` of a `defs.yaml`: where a dataset is published, and what its card says.

The token is the environment variable HF_TOKEN, never a key here.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.hub.target import (
    ROLE,
    PublishTarget,
    TargetOptions,
    check_repo,
    is_remote,
    open_target,
)
from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Problem, Section
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.environment import read_hub_token
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.staged.section import PublishedSource
from dataset_assets.pipelines.publish.publish import PublishOptions

HUB_UPLOAD = "hub_upload"
#: Second part of the key of the repository, which is external.
HUB_REPO = "hub_repo"
#: Metadata key of the published revision, which the sensor `hub_drift` reads.
REVISION = "revision"
#: Folder of the target `directory`, below the root.
HUB_FOLDER = "hub"


def _known_target(kind: str) -> str:
    return registry.check(ROLE, kind)


@mirrors(PublishOptions, omit={"message"})
class Hub(Section):
    """A repository on the Hugging Face Hub, or a local folder with the same layout."""

    repo: Annotated[str, AfterValidator(check_repo)]
    """`owner/name`."""
    target: Annotated[str, AfterValidator(_known_target)] = "directory"
    """A file name in `dataset_assets/hub/targets/`.

    `directory` publishes to <DATASET_ASSETS_ROOT>/hub, without an account or network.
    """
    private: bool = True
    """Whether a new repository on the Hub is private."""
    root: str | None = None
    """Folder of the target `directory`. Relative paths start at DATASET_ASSETS_ROOT."""
    license: str | None = None
    """Identifier such as `cc-by-4.0`, or `other`. Left out: that of the dataset."""
    text: str | None = None
    """Markdown below the title of the card. Left out: the description of the dataset."""
    watch_every_s: Annotated[int, Field(ge=30)] | None = None
    """Seconds between two checks whether somebody else has changed the repository."""

    def check_options(self) -> None:
        """Build the options of the library, which checks the values."""
        self.publish_options()

    @property
    def is_remote(self) -> bool:
        """Whether publishing needs the network and a token."""
        return is_remote(self.target)

    def publish_options(self, **defaults: Any) -> PublishOptions:
        """Build the options of the library; `defaults` hold for keys that are left out."""
        return PublishOptions(**{"license": "other", **defaults, **self.given(PublishOptions)})


def publish_options(spec: DatasetSpec) -> PublishOptions:
    """Build the options of the library; `license` and `text` default to the dataset's own."""
    defaults = {"license": spec.license, "text": spec.description}
    given = {name: value for name, value in defaults.items() if value}
    return spec.section(Hub).publish_options(**given)


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


def problems(spec: DatasetSpec) -> Iterator[Problem]:
    """Find terms that forbid publication, and a missing or invalid license."""
    hub = spec.find(Hub)
    if hub is None:
        return
    published = spec.find(PublishedSource)
    terms = published.source().license if published is not None else None
    if terms is not None and not terms.redistributable:
        text = (
            f"{spec.source.kind} must not be published: {terms.name} ({terms.url}) forbids "
            "redistribution"
        )
        yield "hub", hub, text
    if not (hub.license or spec.license):
        text = (
            "expected a `license`, here or of the dataset: an identifier such as cc-by-4.0, or "
            "other"
        )
        yield "hub", hub, text
        return
    try:
        publish_options(spec)
    except ConfigurationError as exc:
        yield "license", spec.license, f"{exc}; or give `hub` a license of its own"
