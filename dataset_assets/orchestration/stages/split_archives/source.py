"""The kinds of `source` that are a folder, such as `recordings:`, `files:` and `shards:`.

Each plug-in of `dataset_assets/splits/sources/` is a kind here, with the keys of its option class.
"""

import inspect
from typing import Any, ClassVar, Self

from pydantic import model_validator

from dataset_assets import registry
from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Section, check_by, create_section

ROLE = "split_source"


class Folder(Section):
    """Base of the sources that are a folder."""

    kind: ClassVar[str]

    path: str
    """A folder on any store. Relative paths start at DATASET_ASSETS_ROOT."""

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        check_by(self.options, self)
        return self

    def options(self) -> Any:
        """Build the options of the library; None: the source has none."""
        options_class = _options_class(self.kind)
        return None if options_class is None else options_class(**self.given(options_class))

    def given_options(self) -> dict[str, Any]:
        """Return the options of the library that are in the YAML."""
        options_class = _options_class(self.kind)
        return {} if options_class is None else self.given(options_class)


def folder_source(kind: str) -> type[Folder]:
    """Build the section of a kind of folder from the option class of its plug-in."""
    doc = inspect.getdoc(registry.load(ROLE, kind))
    section = create_section(f"{kind.title()}Folder", Folder, doc, {})
    section.kind = kind
    options_class = _options_class(kind)
    return section if options_class is None else mirrors(options_class)(section)


def _options_class(kind: str) -> type | None:
    options_class: type | None = registry.load(ROLE, kind).options_class
    return options_class
