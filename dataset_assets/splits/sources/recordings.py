"""A folder of recordings, each with cameras, each with the frames of one video.

Paths are `<recording>/<camera>/<frame>.<extension>`. Frames play in the order of the last number in
their names: `frame_2.pgm` before `frame_10.pgm`. The cameras of a recording are one group: they
show the same scene. Files that would be lost or mixed up are refused by path. The listing is read
once, when the source is created.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import ClassVar, Self

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.records.staged import License
from dataset_assets.splits import _scan
from dataset_assets.splits.source import only_folder
from dataset_assets.storage.store import TEMPORARY, ObjectInfo, Store
from dataset_assets.storage.stores import local

_NUMBER = re.compile(r"[0-9]+")
#: Digits of the number of a frame in an archive, at least.
_MIN_DIGITS = 4
#: Folders above a frame, with cameras.
_FRAME_DEPTH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """Options of which files are frames.

    Raises:
        ConfigurationError: an invalid value.
    """

    extensions: tuple[str, ...] = ("pgm", "png", "jpg", "jpeg")
    """Extensions of frames, in any case."""
    ignore: tuple[str, ...] = (*_scan.JUNK, "*.txt", "*.md")
    """Patterns of files and folders that are not data."""
    fps: float | None = None
    """Frames per second of all videos; becomes a column. None: no such column."""
    cameras: bool = True
    """Recordings hold folders of cameras. False: frames lie in the folder of the recording."""
    digests: bool = False
    """Read every frame to find equal videos. Adds the column `sha256`."""

    def __post_init__(self) -> None:
        extensions = checks.texts("extensions", self.extensions)
        object.__setattr__(self, "extensions", _scan.without_dots(extensions))
        object.__setattr__(self, "ignore", checks.texts("ignore", self.ignore))
        checks.boolean("cameras", self.cameras)
        checks.boolean("digests", self.digests)
        if not self.extensions:
            raise ConfigurationError("extensions: expected at least one, such as pgm, got none")
        if self.fps is not None:
            checks.positive("fps", self.fps)


class SplitSource:
    """Videos as frames."""

    kind = "recordings"
    options_class: ClassVar[type] = RecordingOptions
    detection_rank: ClassVar[int] = 1
    media = "frames"
    restriction: License | None = None

    def __init__(self, store: Store, options: RecordingOptions | None = None) -> None:
        """List the folder.

        Raises:
            UnreadableSource: the folder is empty, or something in it is not as expected.
        """
        self._store = store
        self._options = options or RecordingOptions()
        videos = _RecordingListing(store, self._options).videos()
        self.columns = self._columns()
        self.fingerprint = _scan.listing_fingerprint(
            {"kind": self.kind, "options": asdict(self._options)},
            (frame for frames in videos.values() for frame in frames),
        )
        self._samples = tuple(self._sample(key, frames) for key, frames in videos.items())

    @staticmethod
    def detect(store: Store) -> bool:
        """Tell whether the first frame lies in a camera of a recording."""
        suffixes = tuple(f".{extension}" for extension in RecordingOptions().extensions)
        for info in store.list():
            if info.key.lower().endswith(suffixes):
                return info.key.count("/") == _FRAME_DEPTH
        return False

    @classmethod
    def open(cls, stores: Sequence[Store], options: RecordingOptions) -> Self:
        """Open one folder."""
        return cls(only_folder(cls.kind, stores), options)

    def samples(self) -> Sequence[SourceSample]:
        return self._samples

    def read(self, sample: SourceSample) -> list[bytes]:
        return _scan.read_all(self._store, sample.location)

    def _columns(self) -> dict[str, str]:
        columns = {"recording": "string"}
        if self._options.cameras:
            columns["camera"] = "string"
        columns["n_frames"] = "int32"
        if self._options.fps is not None:
            columns["fps"] = "double"
        if self._options.digests:
            columns["sha256"] = "string"
        return columns

    def _sample(self, key: str, frames: tuple[ObjectInfo, ...]) -> SourceSample:
        recording, _, camera = key.partition("/")
        values = {
            "recording": recording,
            "camera": camera,
            "n_frames": len(frames),
            "fps": self._options.fps,
        }
        if self._options.digests:
            values["sha256"] = _scan.content_digest(_scan.read_all(self._store, frames))
        digits = max(_MIN_DIGITS, len(str(len(frames) - 1)))
        return SourceSample(
            key=key,
            group=recording,
            bytes=sum(frame.bytes for frame in frames),
            parts=tuple(
                f"{index:0{digits}}.{_scan.extension_of(frame.key)}"
                for index, frame in enumerate(frames)
            ),
            columns={name: values[name] for name in self.columns},
            location=frames,
        )


class _RecordingListing(_scan.Listing):
    """One listing of the folder: its videos, or everything that is wrong."""

    def __init__(self, store: Store, options: RecordingOptions) -> None:
        super().__init__(store, options.ignore)
        self._options = options
        self._depth = _FRAME_DEPTH if options.cameras else _FRAME_DEPTH - 1
        self._videos: dict[str, list[ObjectInfo]] = {}
        self._folders: set[str] = set()

    def videos(self) -> dict[str, tuple[ObjectInfo, ...]]:
        """Return the frames of each video in playing order, videos sorted by key."""
        for info in self._store.list():
            self._add(info)
        for folder in _local_folders(self._store, self._depth):
            if not self._is_ignored(folder):
                self._folders.add(folder)
        self._check_folders()
        videos = {key: self._sort_frames(key, self._videos[key]) for key in sorted(self._videos)}
        self._check_collisions({key: key for key in videos}, "folder")
        if not self._problems and not videos:
            self._add_problem("", f"expected {self._layout()}, got no recordings")
        self._raise_problems()
        return videos

    def _layout(self) -> str:
        camera = "<camera>/" if self._options.cameras else ""
        return f"<recording>/{camera}<frame>.{'|'.join(self._options.extensions)}"

    def _add(self, info: ObjectInfo) -> None:
        *folders, name = info.key.split("/")
        folder = "/".join(folders)
        if self._is_ignored(folder):
            return
        for depth in range(min(len(folders), self._depth)):
            self._folders.add("/".join(folders[: depth + 1]))
        # Object storage marks folders by a key that ends in '/'.
        if not name or self._is_ignored(info.key):
            return
        if len(folders) != self._depth:
            advice = self._advice(folders)
            self._add_problem(info.key, f"expected {self._layout()}, got another path; {advice}")
        elif problem := self._frame_problem(info, name):
            self._add_problem(info.key, problem)
        else:
            self._videos.setdefault(folder, []).append(info)

    def _advice(self, folders: Sequence[str]) -> str:
        advice = "move it or add a pattern to ignore"
        if self._options.cameras and len(folders) == 1:
            return f"set cameras: false if recordings hold frames directly, else {advice}"
        return advice

    def _frame_problem(self, info: ObjectInfo, name: str) -> str:
        if problem := _scan.unsafe_name_problem(name):
            return f"{problem}; rename it or add a pattern to ignore"
        if _scan.extension_of(name) not in self._options.extensions:
            expected = ", ".join(self._options.extensions)
            return (
                f"not a frame; expected an extension out of {expected}; move it or add a pattern "
                "to ignore"
            )
        if not _number_text(name):
            return "expected a number in the name, which gives the order of frames; rename it"
        return "" if info.bytes else "an empty file; replace or delete it"

    def _check_folders(self) -> None:
        parents = {folder.partition("/")[0] for folder in self._folders if "/" in folder}
        for folder in sorted(self._folders):
            if problem := self._folder_problem(folder, parents):
                self._add_problem(folder, problem)

    def _folder_problem(self, folder: str, parents: set[str]) -> str:
        name = folder.rpartition("/")[2]
        is_video = folder.count("/") == self._depth - 1
        problem = _scan.unsafe_name_problem(name)
        if not problem and is_video and "." in name:
            problem = "a dot in the name: readers of archives take what follows for an extension"
        if problem:
            return f"{problem}; rename the folder or add a pattern to ignore"
        advice = f"expected {self._layout()}; delete it or add a pattern to ignore"
        if is_video and folder not in self._videos:
            return f"a video without frames; {advice}"
        if not is_video and folder not in parents:
            return f"a recording without cameras; {advice}"
        return ""

    def _sort_frames(self, key: str, frames: Sequence[ObjectInfo]) -> tuple[ObjectInfo, ...]:
        ordered = sorted(frames, key=lambda frame: (_number(_name(frame)), frame.key))
        for frame, following in pairwise(map(_name, ordered)):
            if _number(frame) == _number(following):
                self._add_problem(
                    f"{key}/{following}",
                    f"has the same frame number as {frame}; the last number in a name gives the "
                    "order of frames: rename or delete one",
                )
                break
        return tuple(ordered)


def _name(frame: ObjectInfo) -> str:
    return frame.key.rpartition("/")[2]


def _number(name: str) -> int:
    return int(_number_text(name))


def _number_text(name: str) -> str:
    """Return the digits of the last number in a name without its extension; "" without one."""
    numbers = _NUMBER.findall(name.rpartition(".")[0])
    return numbers[-1] if numbers else ""


def _local_folders(store: Store, depth: int) -> Iterator[str]:
    """Yield the folders of a disk down to a depth, since a listing does not show empty ones.

    Object storage has no folders.
    """
    if not isinstance(store, local.Store) or not store.root.is_dir():
        return
    folders = [store.root]
    for _ in range(depth):
        folders = [
            entry
            for folder in folders
            for entry in folder.iterdir()
            if entry.is_dir() and entry.name != TEMPORARY
        ]
        yield from (folder.relative_to(store.url).as_posix() for folder in folders)
