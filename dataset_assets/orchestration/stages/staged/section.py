"""`staged:` of a `defs.yaml`, and the sources that are published datasets, such as `coco:`.

Each plug-in of `dataset_assets/staging/sources/` is a kind of source here, with the keys of its
option class. The parts of a published dataset are its partitions; its archives are on the web or
are copies or exports.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from dataset_assets import registry
from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Problem, Section, create_section
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.pipelines.stage.open_staging import ROLE, open_staging, options_of
from dataset_assets.pipelines.stage.stage import StageOptions
from dataset_assets.staging.source import StagingSource

STAGED = "staged"
#: Keys within a value with paths that are no paths themselves.
_NO_PATHS = ("subset",)


class PublishedSource(Section):
    """Base of the sources that are published datasets."""

    kind: ClassVar[str]

    def check_options(self) -> None:
        """Create the source, which checks the values."""
        self.source()

    def source(self, resolve: Callable[[str], str] = str) -> StagingSource:
        """Create the source; `resolve` turns relative paths into absolute ones."""
        given = self.given(options_of(self.kind))
        paths = {name: _resolved(given[name], resolve) for name in self._paths() if name in given}
        return open_staging(self.kind, {**given, **paths})

    @property
    def partitions_made(self) -> tuple[str, ...]:
        """The parts that are staged."""
        return tuple(self.source().partitions)

    @property
    def given_paths(self) -> tuple[str, ...]:
        """Paths and URLs of archives in the YAML."""
        found: list[str] = []
        for name in self._paths():
            _resolved(getattr(self, name), found.append)
        return tuple(found)

    def _paths(self) -> tuple[str, ...]:
        """Return the keys with paths; relative paths start at DATASET_ASSETS_ROOT."""
        paths: tuple[str, ...] = getattr(registry.load(ROLE, self.kind), "paths", ())
        return paths


def published_source(kind: str) -> type[PublishedSource]:
    """Build the section of a published dataset from the option class of its plug-in."""
    options = options_of(kind)
    section = create_section(kind.title(), PublishedSource, inspect.getdoc(options), {})
    section.kind = kind
    return mirrors(options)(section)


def _resolved(value: Any, resolve: Callable[[str], Any]) -> Any:
    """Return a value with every path in it resolved."""
    if isinstance(value, Mapping):
        return {
            key: entry if key in _NO_PATHS else _resolved(entry, resolve)
            for key, entry in value.items()
        }
    return value if value is None else resolve(value)


@mirrors(StageOptions, renamed={"max_shard_mb": "max_shard_bytes"}, omit={"objects_url"})
class StagedSection(Section):
    """How staged shards are written."""

    max_shard_mb: Annotated[float, Field(gt=0)] | None = None
    """Maximum size of a shard, 10^6 bytes."""
    min_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.99
    """The check `staged_images` warns below this share of images."""


def layout_problems(spec: DatasetSpec, key: str) -> Iterator[Problem]:
    """Find a section of a later stage that reads shards, where the layout has none."""
    section = getattr(spec, key)
    if section is None or spec.find(PublishedSource) is None:
        return
    if spec.section(StagedSection).build(StageOptions).layout == "objects":
        yield key, section, f"expected no `{key}` with the layout `objects`: it reads shards"
