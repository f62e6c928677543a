"""The kinds of `source` that are a folder, such as `recordings:`, `files:` and `shards:`.

Each plug-in of `dataset_assets/splits/sources/` is a kind here, with the keys of its option class.
A folder is an external asset; the sensor `new_data` splits again when it changes.
"""

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

import dagster as dg

from dataset_assets import registry
from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.assets import SOURCE, external_asset
from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Section, create_section
from dataset_assets.orchestration.common.sensors import build_source_sensor
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.split_archives.section import SPLIT_ARCHIVES
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import open_store

ROLE = "split_source"
#: Kinds of source whose changes show in their manifests, which are written last.
_WITH_MANIFESTS = frozenset({"shards"})


class Folder(Section):
    """Base of the sources that are a folder."""

    kind: ClassVar[str]

    path: str
    """A folder on any store. Relative paths start at DATASET_ASSETS_ROOT."""

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


def folder_asset(spec: DatasetSpec, folder: Folder) -> dg.AssetSpec:
    """Describe the folder, which is external."""
    path = metadata.plain_text(folder.path)
    return external_asset(spec, SOURCE, f"{folder.kind.capitalize()} at `{path}`.", {"path": path})


def folder_sensor(spec: DatasetSpec, folder: Folder) -> dg.SensorDefinition:
    """Build the sensor that watches the folder."""

    def listing(storage: StorageResource) -> Iterator[tuple[str, int, float]]:
        for info in open_store(storage.resolve(folder.path)).list(""):
            if folder.kind not in _WITH_MANIFESTS or info.key.rpartition("/")[2] == MANIFEST:
                yield info.key, info.bytes, info.modified

    return build_source_sensor(
        spec,
        SPLIT_ARCHIVES,
        "data",
        listing,
        description="Splits again when the source has changed.",
    )
