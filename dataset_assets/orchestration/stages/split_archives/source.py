"""`source: {recordings: ...}`, `{files: ...}` and `{shards: ...}` of a `defs.yaml`: folders."""

from typing import Any, ClassVar, Self

from pydantic import model_validator

from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Section, check_by
from dataset_assets.splits.sources.files import FileOptions
from dataset_assets.splits.sources.recordings import RecordingOptions


class Folder(Section):
    """Base of the sources that are a folder."""

    title: ClassVar[str]
    #: Whether a change shows in the manifests, so that a sensor need not look at other files.
    has_manifests: ClassVar[bool] = False

    path: str
    """A folder on any store. Relative paths start at DATASET_ASSETS_ROOT."""

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        check_by(self.options, self)
        return self

    def options(self) -> Any:
        """Build the options of the library; None: there are none."""
        return None

    def given_options(self) -> dict[str, Any]:
        """Return the options of the library that are in the YAML."""
        return {
            name: value
            for options in type(self).mirrored
            for name, value in self.given(options).items()
        }


@mirrors(RecordingOptions)
class Recordings(Folder):
    """Folders of frames: `<recording>/<camera>/<frame>.<extension>`.

    A sample is the video of one camera in one recording.
    """

    title = "Recordings"

    def options(self) -> RecordingOptions:
        """Build the options of the library."""
        return RecordingOptions(**self.given_options())


@mirrors(FileOptions)
class Files(Folder):
    """Any files; those with the same name up to the extension are one sample.

    For example, an image, its .txt caption and its .json columns.
    """

    title = "Files"

    def options(self) -> FileOptions:
        """Build the options of the library."""
        return FileOptions(**self.given_options())


class ShardSets(Folder):
    """Existing shards: a folder with a `manifest.json`, or a folder of such folders."""

    title = "Shard sets"
    has_manifests = True
