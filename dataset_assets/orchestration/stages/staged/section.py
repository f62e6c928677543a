"""`coco:`, `cityscapes:`, `imagenet:` and `cvat:` of a `source`, and what is made of them: `staged:` and `loader_preview:`.

A published dataset has parts, which are its partitions here; its archives are read from the web, from copies of them, or from an export.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dataset_assets.orchestration.common.section import Section, checked, given_keys
from dataset_assets.pipelines.stage.open_staging import open_staging
from dataset_assets.pipelines.stage.stage import StageOptions
from dataset_assets.staging.source import StagingSource

_BYTES_PER_MB = 1_000_000
_NO_PATHS = ("subset",)
_STAGE_NAMES = {"max_shard_mb": "max_shard_bytes"}
Count = Annotated[int, Field(ge=1)]


class Published(Section):
    """Base of the sources that are published datasets."""

    kind: ClassVar[str]
    #: keys whose values are paths, or have paths in them: a relative one starts at DATASET_ASSETS_ROOT
    paths: ClassVar[tuple[str, ...]]

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        checked(self, lambda: open_staging(self.kind, self.given()), {})
        return self

    def given(self) -> dict[str, Any]:
        """Return the options of the library that stand in the YAML."""
        return given_keys(self, {})

    def source(self, resolve: Callable[[str], str] = str) -> StagingSource:
        """Open the source; `resolve` makes absolute paths of relative ones."""
        given = self.given()
        return open_staging(
            self.kind,
            {
                name: _resolved(value, resolve) if name in self.paths else value
                for name, value in given.items()
            },
        )

    @property
    def partitions_made(self) -> tuple[str, ...]:
        """The parts that are staged."""
        return tuple(self.source().partitions)

    @property
    def given_paths(self) -> tuple[str, ...]:
        """Paths and urls of archives that stand in the YAML."""
        found: list[str] = []
        for name in self.paths:
            _resolved(getattr(self, name), found.append)
        return tuple(found)


def _resolved(value: Any, resolve: Callable[[str], Any]) -> Any:
    """Return a value with every path in it resolved."""
    if isinstance(value, Mapping):
        return {
            key: entry if key in _NO_PATHS else _resolved(entry, resolve)
            for key, entry in value.items()
        }
    return value if value is None else resolve(value)


class Coco(Published):
    """COCO 2017, from its archives on the web or from copies of them."""

    kind = "coco"
    paths = ("folder", "archives")
    folder: str | None = None
    """Folder or url that has the archives under their published names. Left out: the site of COCO."""
    partitions: list[str] | None = None
    """`train2017`, `val2017`, `test2017`, `unlabeled2017`. Left out: the first two."""
    annotations: list[str] | None = None
    """`instances`, `captions`, `person_keypoints`, `stuff`, `panoptic`. Left out: the first three."""
    archives: dict[str, str] | None = None
    """Single archives, `train2017: <path or url>`."""
    md5: dict[str, str] | None = None
    """Checksums of copies."""


class Cityscapes(Published):
    """Cityscapes. Needs CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD where Dagster runs, unless all archives are given."""

    kind = "cityscapes"
    paths = ("folder", "archives")
    folder: str | None = None
    """Folder that has the archives under their published names. Left out: the site of Cityscapes."""
    partitions: list[str] | None = None
    """`train`, `val`, `test`, `train_extra`. Left out: the first two."""
    archives: dict[str, str] | None = None
    """Single archives, `gtFine_trainvaltest.zip: <path or url>`."""
    site: str | None = None


class Imagenet(Published):
    """ImageNet, from the archive that Kaggle gives."""

    kind = "imagenet"
    paths = ("path", "labels")
    path: str
    """The archive, or the folder with it and the tables `LOC_*`."""
    labels: str | None = None
    """Folder of the tables. Left out: beside the archive, or in it."""
    partitions: list[str] | None = None
    """`train`, `val`, `test`. Left out: the first two."""
    torchvision_meta: bool | None = None
    """Write the `meta.bin` that torchvision reads; needs torch."""


class Cvat(Published):
    """Exports of CVAT: `CVAT for images 1.1`, `CVAT for video 1.1` and `COCO 1.0`, one partition each."""

    kind = "cvat"
    paths = ("exports",)
    exports: dict[str, str | dict[str, str]]
    """Name of a partition: path or url of the export; or `{annotations: <path>, images: <path>, subset: <name>}`."""
    line_width: float | None = None
    """How wide polylines are drawn, px. Left out: not at all."""
    license: str | None = None
    license_url: str | None = None
    redistributable: bool | None = None
    """Whether the images may be published. Left out: yes."""


class Staged(Section):
    """What staged shards look like."""

    layout: Literal["shards", "objects"] | None = None
    """`objects`: one object per image, under the keys that torchdatasetutil uses."""
    max_shard_mb: Annotated[float, Field(gt=0)] | None = None
    """A shard is closed before it grows larger, 10^6 bytes."""
    max_shard_samples: Count | None = None
    check_images: bool | None = None
    """Decode every image; one that can not be is a row without a sample."""
    workers: Count | None = None
    """Threads. Left out: one for each processor."""
    min_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.99
    """The check warns when fewer of the images become samples."""

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        checked(self, self.options, _STAGE_NAMES)
        return self

    def options(self) -> StageOptions:
        """Build the options of the library."""
        given = given_keys(
            self, _STAGE_NAMES, type(self).model_fields.keys() - {"min_success_rate"}
        )
        if "max_shard_bytes" in given:
            given["max_shard_bytes"] = round(given["max_shard_bytes"] * _BYTES_PER_MB)
        return StageOptions(**given)


class LoaderPreview(Section):
    """A batch as training sees it, made and drawn after staging."""

    partition: str | None = None
    """Left out: the first one."""
    batch_size: Annotated[int, Field(ge=1, le=64)] = 8
    height: Annotated[int, Field(ge=16, le=2048)] = 256
    width: Annotated[int, Field(ge=16, le=2048)] = 256
    class_dictionary: str | None = None
    """Path or url of a class dictionary, or the name of one that is shipped. Left out: that of the source."""
    seed: Annotated[int, Field(ge=0)] = 0
    augment: bool = True
    """As in training; `false`: as in validation."""
