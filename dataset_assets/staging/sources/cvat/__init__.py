"""Exports of CVAT, one partition each.

Accepted are "CVAT for images 1.1", "CVAT for video 1.1" and "COCO 1.0", with their images or beside
them. A sample is an image as exported, `annotations.json` (all shapes, tags and attributes; for a
video, those of its frame) and `seg.png`: its areas with the ids of their labels, drawn as
`_shapes` says. Images without annotations are samples too.

Format: https://docs.cvat.ai/docs/dataset_management/formats/
"""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.staged import License
from dataset_assets.staging.source import SourceAccess
from dataset_assets.staging.sources.cvat._export import Export
from dataset_assets.staging.sources.cvat._partition import CvatPartition

_PARTITION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_MAX_LINE_WIDTH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CvatExport:
    """What one partition is made of.

    Raises:
        ConfigurationError: there are no annotations, or a value is not text.
    """

    annotations: str
    """Path or URL of the zip of an export, or of its annotations.xml alone."""
    images: str | None = None
    """Path or URL of a zip with the images, for an export without them."""
    subset: str | None = None
    """Stage only the images of this subset."""

    def __post_init__(self) -> None:
        checks.text("annotations", self.annotations)
        if self.images is not None:
            checks.text("images", self.images)
        if self.subset is not None:
            checks.text("subset", self.subset)


@dataclass(frozen=True, slots=True, kw_only=True)
class CvatOptions:
    """Which exports become partitions, and under which terms.

    Raises:
        ConfigurationError: there are no exports, or a value is not valid.
    """

    exports: Mapping[str, str | Mapping[str, Any] | CvatExport] = field(default_factory=dict)
    """Partition -> path or URL of an export, or `{annotations: <path>, images: <path>, subset:
    <name>}`."""
    line_width: float = 0.0
    """Width of drawn polylines, px. 0: they are not drawn."""
    license: str = "not stated"
    """Name of the license of the images."""
    license_url: str = ""
    """Where the license is published."""
    redistributable: bool = True
    """Whether the license allows publishing the images."""

    def __post_init__(self) -> None:
        if not self.exports:
            raise ConfigurationError(
                "exports: expected a zip for each partition, such as "
                "{'train': 'exports/train.zip'}, got none"
            )
        for name in self.exports:
            if not _PARTITION_NAME.fullmatch(name):
                raise ConfigurationError(
                    f"exports: expected names of letters, digits, '_', '-' and '.', got {name!r}"
                )
        checks.number("line_width", self.line_width, 0, _MAX_LINE_WIDTH)
        exports = {name: _as_export(name, raw) for name, raw in self.exports.items()}
        object.__setattr__(self, "exports", exports)


def _as_export(name: str, raw: Any) -> CvatExport:
    try:
        if isinstance(raw, CvatExport):
            return raw
        return CvatExport(**raw) if isinstance(raw, Mapping) else CvatExport(annotations=raw)
    except (TypeError, ConfigurationError) as exc:
        raise ConfigurationError(
            f"exports: {name}: expected a path, or annotations with images and subset; got {exc}"
        ) from exc


class Source:
    """Exports of CVAT as a source of samples."""

    kind = "cvat"
    options_class = CvatOptions
    paths = ("exports",)

    def __init__(self, options: CvatOptions) -> None:
        self.options = options
        self.license = License(options.license, options.license_url, options.redistributable)
        self.partitions = tuple(options.exports)

    def open(self, partition: str, access: SourceAccess) -> CvatPartition:
        """Open an export and read its annotations."""
        files = _as_export(partition, self.options.exports[partition])
        line_width = self.options.line_width
        with ExitStack() as undo:
            resources = undo.enter_context(ExitStack())
            export = Export(files.annotations, files.images, line_width, access, resources)
            opened = CvatPartition(partition, export, files.subset, line_width, resources)
            undo.pop_all()
        return opened
