"""`hub:` of a `defs.yaml`: where a dataset is published, and what its card says. The token is HF_TOKEN of the environment, never a key here."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dataset_assets.hub.target import check_repo
from dataset_assets.orchestration.common.section import Section, checked, given_keys
from dataset_assets.pipelines.publish.publish import PublishOptions

_FOR_THE_CARD = frozenset(
    {
        "license",
        "pretty_name",
        "tags",
        "languages",
        "source_urls",
        "text",
        "archives",
        "legacy_script",
        "tag",
    }
)


class Hub(Section):
    """A repository on the Hugging Face Hub, or a local folder that is laid out like one."""

    repo: Annotated[str, AfterValidator(check_repo)]
    """`owner/name`."""
    target: Literal["directory", "huggingface"] = "directory"
    """`directory` needs no account and no network: it publishes to <DATASET_ASSETS_ROOT>/hub."""
    private: bool = True
    """Of a repository on the Hub that does not exist yet."""
    root: str | None = None
    """Folder of the target `directory`. A relative path starts at DATASET_ASSETS_ROOT."""
    license: str | None = None
    """Identifier such as `cc-by-4.0`, or `other`. Left out: the dataset's."""
    pretty_name: str | None = None
    tags: list[str] = Field(default_factory=list)
    languages: list[str] = Field(default_factory=list)
    """Codes such as `en`."""
    source_urls: list[str] = Field(default_factory=list)
    """Pages that the data comes from."""
    text: str | None = None
    """Markdown below the title of the card. Left out: the description of the dataset."""
    archives: bool | None = None
    """Publish the tars beside the tables."""
    legacy_script: bool | None = None
    """A loading script for `datasets` before 4, in a folder of its own."""
    tag: str | None = None
    """Left out: `v` and the begin of the version."""
    watch_every_s: Annotated[int, Field(ge=30)] | None = None
    """Look this often whether somebody else has changed the repository."""

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        checked(self, self.publish_options, {})
        return self

    @property
    def is_remote(self) -> bool:
        """Whether publishing needs the network and a token."""
        return self.target == "huggingface"

    def publish_options(self, **otherwise: Any) -> PublishOptions:
        """Build the options of the library; `otherwise` holds what this section does not say."""
        return PublishOptions(
            **{"license": "other", **otherwise, **given_keys(self, {}, _FOR_THE_CARD)}
        )
