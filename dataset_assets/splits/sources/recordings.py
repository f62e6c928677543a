"""A folder of recordings, each with cameras, each with the frames of one video: `<recording>/<camera>/<frame>.<extension>`.

Frames play in the order of the last number in their names: `frame_2.pgm` before `frame_10.pgm`. Cameras of one recording are one group: they show the same
scene. Anything that would be lost or mixed up without a word is refused with its path. The listing is read once, when the source is made.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.splits import _scan
from dataset_assets.storage.store import TEMPORARY, ObjectInfo, Store
from dataset_assets.storage.stores import local

_NUMBER = re.compile(r"[0-9]+")
_MIN_DIGITS = 4  # of a frame's number in an archive


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """Which files are frames.

    Raises:
        ConfigurationError: a value that can not work.
    """

    extensions: tuple[str, ...] = ("pgm", "png", "jpg", "jpeg")  # of frames, in any case
    ignore: tuple[str, ...] = (
        *_scan.JUNK,
        "*.txt",
        "*.md",
    )  # patterns of files and folders that are no data
    fps: float | None = None  # frames per second, of all videos: becomes a column
    cameras: bool = True  # False: frames lie in the recording's folder
    digests: bool = (
        False  # read everything, so that equal videos are found: becomes the column `sha256`
    )

    def __post_init__(self) -> None:
        extensions = _scan.texts("extensions", self.extensions)
        object.__setattr__(
            self, "extensions", tuple(extension.lower().lstrip(".") for extension in extensions)
        )
        object.__setattr__(self, "ignore", _scan.texts("ignore", self.ignore))
        _scan.check_switch("cameras", self.cameras)
        _scan.check_switch("digests", self.digests)
        if not self.extensions:
            raise ConfigurationError("extensions: expected at least one, such as pgm")
        if self.fps is not None and (
            not isinstance(self.fps, int | float)
            or isinstance(self.fps, bool)
            or not 0 < self.fps < float("inf")
        ):
            raise ConfigurationError(f"fps: expected frames per second above 0, got {self.fps!r}")


class Source:
    """Videos of frames. See `splits._base.Source`."""

    kind = "recordings"
    media = "frames"

    def __init__(self, store: Store, options: RecordingOptions | None = None) -> None:
        """List the folder.

        Raises:
            UnreadableSource: something in it is not as expected, or nothing is there.
        """
        self._store = store
        self._options = options or RecordingOptions()
        videos = _Scan(store, self._options).videos()
        self.columns = self._columns()
        self.fingerprint = _scan.fingerprint_of(
            {"kind": self.kind, "options": asdict(self._options)},
            (frame for frames in videos.values() for frame in frames),
        )
        self._samples = tuple(self._sample(key, frames) for key, frames in videos.items())

    def samples(self) -> Sequence[SourceSample]:
        """See `splits._base.Source`."""
        return self._samples

    def read(self, sample: SourceSample) -> list[bytes]:
        """See `splits._base.Source`."""
        return _scan.read_all(self._store, sample.location)

    def _columns(self) -> dict[str, str]:
        columns = {"recording": "string", "n_frames": "int32"}
        if self._options.cameras:
            columns = {"recording": "string", "camera": "string", "n_frames": "int32"}
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


class _Scan:
    """One look at the folder: the videos, or everything that is wrong."""

    def __init__(self, store: Store, options: RecordingOptions) -> None:
        self._store, self._options = store, options
        self._depth = 2 if options.cameras else 1  # folders above a frame
        self._is_ignored = _scan.ignoring(options.ignore)
        self._problems: list[str] = []
        self._videos: dict[str, list[ObjectInfo]] = {}
        self._folders: set[str] = set()

    def videos(self) -> dict[str, tuple[ObjectInfo, ...]]:
        """Return the frames of each video in playing order, videos sorted by key."""
        for info in self._store.list():
            self._add(info)
        self._folders.update(
            folder
            for folder in _local_folders(self._store, self._depth)
            if not self._is_ignored(folder)
        )
        self._check_folders()
        videos = {key: self._in_order(key, self._videos[key]) for key in sorted(self._videos)}
        for first, other in _scan.twins(videos):
            self._refuse(
                other,
                f"differs from {first} only in case or accents: they would be one folder on some disks; rename one",
            )
        if not self._problems and not videos:
            self._refuse("", f"no recordings; expected {self._layout()}")
        _scan.stop_at(self._problems)
        return videos

    def _layout(self) -> str:
        return f"<recording>/{'<camera>/' if self._options.cameras else ''}<frame>.{'|'.join(self._options.extensions)}"

    def _refuse(self, key: str, why: str) -> None:
        self._problems.append(f"{_scan.place(self._store, key)}: {why}")

    def _add(self, info: ObjectInfo) -> None:
        *folders, name = info.key.split("/")
        folder = "/".join(folders)
        if self._is_ignored(folder):
            return
        self._folders.update(
            "/".join(folders[: depth + 1]) for depth in range(min(len(folders), self._depth))
        )
        if not name or self._is_ignored(
            info.key
        ):  # object storage marks folders by a key that ends in '/'
            return
        if len(folders) != self._depth:
            self._refuse(
                info.key,
                f"does not belong here; expected {self._layout()}; {self._advice(folders)}",
            )
        elif why := self._wrong_frame(info, name):
            self._refuse(info.key, why)
        else:
            self._videos.setdefault(folder, []).append(info)

    def _advice(self, folders: Sequence[str]) -> str:
        if self._options.cameras and len(folders) == 1:
            return "set cameras: false when recordings hold frames directly, else move it or add a pattern to ignore"
        return "move it or add a pattern to ignore"

    def _wrong_frame(self, info: ObjectInfo, name: str) -> str:
        if why := _scan.odd_name(name):
            return f"{why}; rename it or add a pattern to ignore"
        if _scan.extension_of(name) not in self._options.extensions:
            return f"not a frame; expected an extension out of {', '.join(self._options.extensions)}; move it or add a pattern to ignore"
        if not _number(name):
            return "no number in the name to put frames in order by; rename it"
        return "" if info.bytes else "an empty file; replace or delete it"

    def _check_folders(self) -> None:
        above = {folder.partition("/")[0] for folder in self._folders if "/" in folder}
        for folder in sorted(self._folders):
            last = folder.rpartition("/")[2]
            is_video = folder.count("/") == self._depth - 1
            if why := _scan.odd_name(last) or (
                "a dot in the name: readers of archives take what follows for an extension"
                if is_video and "." in last
                else ""
            ):
                self._refuse(folder, f"{why}; rename the folder or add a pattern to ignore")
            elif is_video and folder not in self._videos:
                self._refuse(
                    folder,
                    f"a video without frames; expected {self._layout()}; delete it or add a pattern to ignore",
                )
            elif not is_video and folder not in above:
                self._refuse(
                    folder,
                    f"a recording without cameras; expected {self._layout()}; delete it or add a pattern to ignore",
                )

    def _in_order(self, key: str, frames: Sequence[ObjectInfo]) -> tuple[ObjectInfo, ...]:
        ordered = sorted(
            frames, key=lambda frame: (int(_number(frame.key.rpartition("/")[2])), frame.key)
        )
        names = [frame.key.rpartition("/")[2] for frame in ordered]
        for one, other in pairwise(names):
            if int(_number(one)) == int(_number(other)):
                self._refuse(
                    f"{key}/{other}",
                    f"has the same frame number as {one}; frames go by the last number in their names: rename or delete one",
                )
                break
        return tuple(ordered)


def _number(name: str) -> str:
    """Return the digits of the last number in a name without its extension; "" when there is none."""
    numbers = _NUMBER.findall(name.rpartition(".")[0])
    return numbers[-1] if numbers else ""


def _local_folders(store: Store, depth: int) -> Iterator[str]:
    """Yield the folders of a disk down to a depth: a listing does not show empty ones. Object storage has none."""
    folders = [store.root] if isinstance(store, local.Store) and store.root.is_dir() else []
    for _ in range(depth):
        folders = [
            entry
            for folder in folders
            for entry in folder.iterdir()
            if entry.is_dir() and entry.name != TEMPORARY
        ]
        yield from (folder.relative_to(store.url).as_posix() for folder in folders)
