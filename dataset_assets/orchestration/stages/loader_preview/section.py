"""`loader_preview:` of a `defs.yaml`."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from dataset_assets.orchestration.common.section import Problem, Section
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.stages.staged.section import PublishedSource, layout_problems

LOADER_PREVIEW = "loader_preview"


class LoaderPreview(Section):
    """A batch as training gets it, loaded and drawn after staging."""

    partition: str | None = None
    """Partition to load from. Left out: the first one."""
    batch_size: Annotated[int, Field(ge=1, le=64)] = 8
    height: Annotated[int, Field(ge=16, le=2048)] = 256
    width: Annotated[int, Field(ge=16, le=2048)] = 256
    class_dictionary: str | None = None
    """Path or URL of a class dictionary, or the name of a shipped one.

    Left out: that of the source.
    """
    seed: Annotated[int, Field(ge=0)] = 0
    augment: bool = True
    """Whether samples are augmented as in training; `false`: as in validation."""


def problems(spec: DatasetSpec) -> Iterator[Problem]:
    """Find an unknown partition, and a layout without shards."""
    preview = spec.find(LoaderPreview)
    published = spec.find(PublishedSource)
    if preview is None or published is None:
        return
    known = published.partitions_made
    if preview.partition not in (None, *known):
        text = f"partition: expected one of {', '.join(known)}, got {preview.partition!r}"
        yield "loader_preview", preview, text
    yield from layout_problems(spec, "loader_preview")
