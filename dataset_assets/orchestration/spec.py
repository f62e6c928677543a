"""One dataset as its `defs.yaml` describes it: what the builders of assets, sensors and schedules are given."""

import re
from typing import Annotated, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.sections._section import Section
from dataset_assets.orchestration.sections.automation import Automation, Freshness, Requires
from dataset_assets.orchestration.sections.shards import Shards
from dataset_assets.orchestration.sections.source import Source

#: Stages: the last part of an asset key, and a folder below the dataset's.
URL_LISTS, RAW_URLS, SHARDS = "url_lists", "raw_urls", "shards"


def check_name(name: str) -> str:
    """Return a name that can be a folder, an asset key and part of an op's name.

    Raises:
        ConfigurationError: it can not.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or "__" in name:
        raise ConfigurationError(
            f"a dataset's name has lower-case letters, digits and single underscores, got {name!r}; rename its folder or give a `name`"
        )
    return name


class DatasetSpec(Section):
    """Url lists that become shards: the attributes of the component `dataset_assets.Dataset`."""

    name: Annotated[str, AfterValidator(check_name)] = ""
    """Left out: the name of the folder that the `defs.yaml` is in. First part of every asset key, group, and folder below the root."""
    source: Source
    shards: Shards = Shards()
    automation: Automation = Automation()
    freshness: Freshness | None = None
    requires: Requires = Requires()
    description: str = ""
    license: str | None = None
    owners: list[str] = Field(default_factory=list)
    """E-mail addresses, or `team:<name>`."""
    tags: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        self.shards.download_options(self.source.urls)
        return self

    def key(self, stage: str) -> dg.AssetKey:
        """Return the key of an asset of this dataset."""
        return dg.AssetKey([self.name, stage])

    def name_of(self, thing: str) -> str:
        """Return the name of an op, sensor, schedule or partitions definition of this dataset."""
        return f"{self.name}__{thing}"

    def describe(self, text: str) -> str:
        """Return the description of an asset: the dataset's, then what this asset is."""
        return f"{self.description}\n\n{text}" if self.description else text

    @property
    def all_tags(self) -> dict[str, str]:
        """Tags of every asset: the given ones, the license, and what the dataset requires."""
        tags = {"license": re.sub(r"[^\w.-]", "-", self.license)} if self.license else {}
        if self.requires.network:
            tags["requires"] = "network"
        if self.requires.env:
            tags["requires_env"] = ".".join(self.requires.env)
        return {**tags, **self.tags}
