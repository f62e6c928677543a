"""One dataset as its `defs.yaml` describes it: what the builders of assets, sensors and schedules are given."""

import re
from collections.abc import Iterator
from typing import Annotated, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.automation import Automation, Freshness, Requires
from dataset_assets.orchestration.common.section import Problem, Section, errors_at_keys
from dataset_assets.orchestration.common.source import Source, Urls
from dataset_assets.orchestration.stages.hub_upload.section import Hub
from dataset_assets.orchestration.stages.shards.section import Shards
from dataset_assets.orchestration.stages.split_archives.section import Splits
from dataset_assets.orchestration.stages.staged.section import LoaderPreview, Published, Staged
from dataset_assets.pipelines.publish.publish import PublishOptions

#: Stages: the last part of an asset key, and a folder below the dataset's. What others own: `url_lists`, `source` and `hub_repo`.
URL_LISTS, RAW_URLS, SHARDS = "url_lists", "raw_urls", "shards"
SOURCE, SPLIT_ARCHIVES, HUB_UPLOAD, HUB_REPO = "source", "split_archives", "hub_upload", "hub_repo"
STAGED, LOADER_PREVIEW = "staged", "loader_preview"


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
    """A source that becomes shards, or is staged as such, then splits and a publication: the attributes of the component `dataset_assets.Dataset`."""

    name: Annotated[str, AfterValidator(check_name)] = ""
    """Left out: the name of the folder that the `defs.yaml` is in. First part of every asset key, group, and folder below the root."""
    source: Source
    shards: Shards = Shards()
    staged: Staged = Staged()
    loader_preview: LoaderPreview | None = None
    splits: Splits | None = None
    hub: Hub | None = None
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
        if problems := list(self._problems()):
            raise errors_at_keys(type(self).__name__, problems)
        if self.source.urls is not None:
            self.shards.download_options(self.source.urls)
        return self

    def _problems(self) -> Iterator[Problem]:
        """Find keys that need another one, or do not go with it."""
        if self.source.urls is None:
            yield from self._without_urls()
        if self.source.published is None:
            for name in ("staged", "loader_preview"):
                if name in self.model_fields_set:
                    yield (
                        name,
                        getattr(self, name),
                        f"expected no `{name}` with `source.{self.source.kind}`: only published datasets are staged",
                    )
        else:
            yield from self._published_problems(self.source.published)
        if self.hub is not None and self.splits is None:
            yield (
                "hub",
                self.hub,
                "what is published are the splits: expected `splits`, `{}` for the usual ones",
            )
        if self.hub is not None:
            yield from self._license_problems(self.hub)

    def _without_urls(self) -> Iterator[Problem]:
        if "shards" in self.model_fields_set:
            yield (
                "shards",
                self.shards,
                f"expected no `shards` with `source.{self.source.kind}`: only urls are downloaded",
            )
        if self.source.folder is not None and self.splits is None:
            yield (
                "source",
                self.source,
                f"nothing is made of `source.{self.source.kind}` without `splits`: add `splits: {{}}`",
            )
        if self.automation.retry_failed is not None:
            yield (
                "automation",
                self.automation,
                "expected no `retry_failed`: only urls are fetched again",
            )

    def _published_problems(self, published: Published) -> Iterator[Problem]:
        license_ = published.source().license
        if self.hub is not None and not license_.redistributable:
            yield (
                "hub",
                self.hub,
                f"{self.source.kind} must not be published: {license_.name} ({license_.url}) forbids to pass it on",
            )
        preview, objects = self.loader_preview, self.staged.layout == "objects"
        if preview is not None and preview.partition not in (None, *published.partitions_made):
            known = ", ".join(published.partitions_made)
            yield (
                "loader_preview",
                preview,
                f"partition: expected one of {known}, got {preview.partition!r}",
            )
        for name in ("splits", "loader_preview") if objects else ():
            if getattr(self, name) is not None:
                yield (
                    name,
                    getattr(self, name),
                    f"expected no `{name}` with the layout `objects`: it reads shards",
                )

    def _license_problems(self, hub: Hub) -> Iterator[Problem]:
        if not (hub.license or self.license):
            yield (
                "hub",
                hub,
                "expected a `license`, here or of the dataset: an identifier such as cc-by-4.0, or other",
            )
            return
        try:
            self.publish_options(hub)
        except ConfigurationError as exc:
            yield "license", self.license, f"{exc}; or give `hub` a license of its own"

    @property
    def urls(self) -> Urls:
        """The lists of a dataset that is made of some.

        Raises:
            ConfigurationError: it is not.
        """
        if self.source.urls is None:
            raise ConfigurationError(
                f"{self.name} is made of {self.source.kind}, it has no url lists"
            )
        return self.source.urls

    def publish_options(self, hub: Hub) -> PublishOptions:
        """Build the options of the library: what the dataset says about itself holds unless `hub` says otherwise."""
        said = {"license": self.license, "text": self.description}
        return hub.publish_options(**{name: value for name, value in said.items() if value})

    @property
    def first_stage(self) -> str:
        """The asset that reads the source."""
        if self.source.urls is not None:
            return RAW_URLS
        return SPLIT_ARCHIVES if self.source.published is None else STAGED

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
