"""`source:` of a `defs.yaml`: where a dataset comes from. Exactly one kind."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.section import Section, checked, given_keys
from dataset_assets.orchestration.stages.staged.section import (
    Cityscapes,
    Coco,
    Cvat,
    Imagenet,
    Published,
)
from dataset_assets.splits.sources.files import FileOptions
from dataset_assets.splits.sources.recordings import RecordingOptions
from dataset_assets.urls.lists import ListOptions

#: key here -> name in the library, where they differ
_NAMES = {
    "url_column": "url_col",
    "caption_column": "caption_col",
    "keep_columns": "save_additional_columns",
    "bbox_column": "bbox_col",
}


class VerifyHash(Section):
    """A column of the list that says what the hash of each file is."""

    column: str
    type: Literal["md5", "sha256", "sha512"] = "sha256"


class Urls(Section):
    """Lists of urls."""

    path: str
    """A file, folder or glob on any store. A relative path starts at DATASET_ASSETS_ROOT."""
    input_format: str = "auto"
    """`auto` (by file name), or a format of `dataset_assets/urls/`, with a compression to take only such files (`csv.gz`)."""
    url_column: str = "url"
    caption_column: str | None = None
    keep_columns: list[str] = Field(default_factory=list)
    """Columns that are copied to the metadata of every sample."""
    bbox_column: str | None = None
    """Column of boxes to blur: lists of [left, top, right, bottom], 0 to 1."""
    verify_hash: VerifyHash | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        checked(self, self.list_options, _NAMES)
        return self

    def list_options(self) -> ListOptions:
        """Build the options of the library."""
        return ListOptions(
            input_format=self.input_format,
            url_col=self.url_column,
            caption_col=self.caption_column,
            save_additional_columns=tuple(self.keep_columns),
            bbox_col=self.bbox_column,
            verify_hash_col=self.verify_hash.column if self.verify_hash else None,
        )


class Folder(Section):
    """Base of the sources that are a folder."""

    path: str
    """A folder on any store. A relative path starts at DATASET_ASSETS_ROOT."""
    has_manifests: ClassVar[bool] = False

    def options(self) -> Any:
        """Build the options of the library; None when there are none."""
        return None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        checked(self, self.options, {})
        return self

    def given(self) -> dict[str, Any]:
        """Return the options of the library that stand in the YAML."""
        return given_keys(self, {}, type(self).model_fields.keys() - {"path"})


class Recordings(Folder):
    """Folders of frames: `<recording>/<camera>/<frame>.<extension>`. A sample is what one camera saw of one recording."""

    cameras: bool | None = None
    """`false`: frames lie in the recording itself."""
    extensions: list[str] | None = None
    ignore: list[str] | None = None
    """Names that may lie around, patterns."""
    fps: float | None = None
    """Frames per second: kept in a column."""
    digests: bool | None = None
    """Read every frame, so that equal videos stay together."""

    def options(self) -> RecordingOptions:
        """See `Folder`."""
        return RecordingOptions(**self.given())


class Files(Folder):
    """Any files: those that share a name up to the extension are one sample (a picture, its .txt caption, its .json columns)."""

    pattern: str | None = None
    """Which files, such as `"**/*"`."""
    extensions: list[str] | None = None
    group: str | None = None
    """Regular expression on the key; what its first parentheses match is never separated. Left out: the folder."""
    ignore: list[str] | None = None
    """Names that may lie around, patterns."""
    drop: list[str] | None = None
    """Fields of the .json files that become no columns."""
    digests: bool | None = None
    """Read every file, so that equal files stay together."""

    def options(self) -> FileOptions:
        """See `Folder`."""
        return FileOptions(**self.given())


class ShardSets(Folder):
    """Shards that are there already: a folder with a `manifest.json`, or a folder of such folders."""

    has_manifests: ClassVar[bool] = True


class Source(Section):
    """Where a dataset comes from: exactly one kind of source."""

    urls: Urls | None = None
    recordings: Recordings | None = None
    files: Files | None = None
    shards: ShardSets | None = None
    coco: Coco | None = None
    cityscapes: Cityscapes | None = None
    imagenet: Imagenet | None = None
    cvat: Cvat | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (
            len(
                given := [
                    name for name in type(self).model_fields if getattr(self, name) is not None
                ]
            )
            != 1
        ):
            came = ", ".join(given) or "none"
            raise ConfigurationError(
                f"expected exactly one of {', '.join(type(self).model_fields)}; got {came}"
            )
        return self

    @property
    def kind(self) -> str:
        """Name of the kind."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def folder(self) -> Folder | None:
        """The folder, where the source is one."""
        return self.recordings or self.files or self.shards

    @property
    def published(self) -> Published | None:
        """The published dataset, where the source is one."""
        return self.coco or self.cityscapes or self.imagenet or self.cvat
