"""`DatasetSpec`: one dataset as its `defs.yaml` describes it, which stages build from.

What all datasets have is declared here. The component adds the keys of the stages and the kinds of
`source`, from what each stage declares.
"""

import re
from typing import Annotated, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.dataset_sections import Automation, Freshness, Requires
from dataset_assets.orchestration.common.section import S, Section


def check_name(name: str) -> str:
    """Return a name that is valid as a folder, in an asset key and in the name of an op.

    Raises:
        ConfigurationError: it is not valid.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or "__" in name:
        raise ConfigurationError(
            "a dataset's name has lower-case letters, digits and single underscores, "
            f"got {name!r}; rename its folder or set `name`"
        )
    return name


class SourceSection(Section):
    """Where a dataset comes from: exactly one kind of source."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        known = type(self).model_fields
        given = [name for name in known if getattr(self, name) is not None]
        if len(given) != 1:
            expected = ", ".join(known)
            got = ", ".join(given) or "none"
            raise ConfigurationError(f"expected exactly one of {expected}; got {got}")
        return self

    @property
    def kind(self) -> str:
        """Name of the kind."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def section(self) -> Section:
        """Section of the kind."""
        section: Section = getattr(self, self.kind)
        return section


class DatasetHead(Section):
    """The keys that come before those of the stages."""

    name: Annotated[str, AfterValidator(check_name)] = ""
    """First part of every asset key, group, and folder below the root.

    Left out: the name of the folder with the `defs.yaml`.
    """
    source: SourceSection


class DatasetSpec(DatasetHead):
    """The attributes of the component `dataset_assets.Dataset`."""

    automation: Automation = Automation()
    freshness: Freshness | None = None
    requires: Requires = Requires()
    description: str = ""
    license: str | None = None
    owners: list[str] = Field(default_factory=list)
    """E-mail addresses, or `team:<name>`."""
    tags: dict[str, str] = Field(default_factory=dict)

    def find(self, wanted: type[S]) -> S | None:
        """Return the section of a class, that of the source included; None: there is none."""
        sections = (getattr(self, key) for key in type(self).model_fields)
        found = (each for each in (self.source.section, *sections) if isinstance(each, wanted))
        return next(found, None)

    def section(self, wanted: type[S]) -> S:
        """Return the section of a class, that of the source included.

        Raises:
            ConfigurationError: the dataset has no such section.
        """
        found = self.find(wanted)
        if found is None:
            raise ConfigurationError(
                f"{self.name}: expected a section {wanted.__name__}, got none in its defs.yaml"
            )
        return found

    def key(self, stage: str, *parts: str) -> dg.AssetKey:
        """Return the key of an asset; `parts` tell several assets of one stage apart."""
        return dg.AssetKey([self.name, stage, *parts])

    def name_of(self, thing: str) -> str:
        """Return the name of an op, sensor, schedule or partitions definition of this dataset."""
        return f"{self.name}__{thing}"

    @property
    def all_tags(self) -> dict[str, str]:
        """Tags of every asset: the given ones, the license, and what the dataset requires."""
        tags = {}
        if self.license:
            tags["license"] = re.sub(r"[^\w.-]", "-", self.license)
        if self.requires.network:
            tags["requires"] = "network"
        if self.requires.env:
            tags["requires_env"] = ".".join(self.requires.env)
        return {**tags, **self.tags}
