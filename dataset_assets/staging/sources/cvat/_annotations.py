"""The annotations of an export in CVAT's XML.

They are read once as a stream, kept per image in a temporary file, and returned as JSON documents.
Images are found by name, with or without their subset as a folder; frames of a video by the number
in `frame_000012.png` or, where files have other names, by their place in alphabetical order.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-xml/
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple
from xml.etree.ElementTree import Element

from dataset_assets.errors import ArchiveCorrupt, UnreadableSource
from dataset_assets.records.staged import ClassLabel
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.sources.cvat._labels import LabelTable
from dataset_assets.staging.sources.cvat._shapes import (
    KINDS,
    NOT_DRAWN,
    Shape,
    draw_shapes,
    parse_shape,
)
from dataset_assets.staging.sources.cvat._spool import Spool
from dataset_assets.staging.sources.cvat._tracks import interpolate_track
from dataset_assets.staging.sources.cvat._xml import read_events

MAX_IMAGES = 1_000_000
#: Of one image, and of one track.
MAX_SHAPES = 100_000
#: Of all images, those between the key frames of tracks included.
MAX_RECORDS = 20_000_000
_AMBIGUOUS = -1
_FRAME = re.compile(r"(?:.*[/\\])?frame_(\d{1,18})\.[^.]*")
_INTEGER = re.compile("-?[0-9]{1,18}")
_SPLIT_HINT = "export the tasks one by one"


class AnnotatedImage(NamedTuple):
    """An image that annotations know."""

    key: Any
    subset: str


class _Track:
    """The shapes of a track while it is read."""

    def __init__(self, name: str, element: Element) -> None:
        self._name = name
        self._id = element.get("id", "")
        self._label = element.get("label", "")
        self._shared = {
            attribute: element.get(attribute)
            for attribute in ("source", "group_id")
            if element.get(attribute)
        }
        self.shapes: list[Shape] = []

    def add(self, shape: Shape) -> None:
        """Add a shape, with what the track says of all of its shapes."""
        if "frame" not in shape or "invalid" in shape:
            reason = shape.get("invalid", "it has no frame")
            raise ArchiveCorrupt(
                f"{self._name}: track {self._id[:40]}: expected shapes with frames, "
                f"got another ({reason})"
            )
        if len(self.shapes) >= MAX_SHAPES:
            raise ArchiveCorrupt(
                f"{self._name}: expected at most {MAX_SHAPES:,} shapes of one track, got more"
            )
        label = shape.get("label") or self._label
        self.shapes.append(shape | {"track_id": self._id, "label": label} | self._shared)


class XmlAnnotations:
    """One XML file, for the images with these paths.

    Raises:
        ArchiveCorrupt, UnreadableSource: it is not XML of CVAT, or has more than can be drawn.
    """

    def __init__(self, file: BinaryIO, name: str, paths: Sequence[str], line_width: float) -> None:
        self._name = name
        self._line_width = line_width
        #: Counts of irregularities.
        self.warnings: Counter[str] = Counter()
        self._labels = LabelTable(name)
        self._images: list[dict[str, Any]] = []
        #: Size of the frames of a video.
        self._frame_size: dict[str, int] = {}
        self._tasks: set[str] = set()
        #: Path -> frame number; None unless it is a video.
        self._frame_of: dict[str, int] | None = None
        self._spool = Spool()
        self._records = 0
        self._read(file, paths)
        self._by_name = self._index_names()

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The labels of the head."""
        return tuple(self._labels.classes)

    def find(self, path: str) -> AnnotatedImage | None:
        """Find an image by its path.

        Raises:
            UnreadableSource: several images have its name.
        """
        if self._frame_of is not None:
            return AnnotatedImage(self._frame_of[path], "")
        key = self._by_name.get(path)
        if key == _AMBIGUOUS:
            raise UnreadableSource(
                f"{self._name}: several images are called {path!r}; expected each in the folder of "
                f"its subset: {_SPLIT_HINT}"
            )
        return None if key is None else AnnotatedImage(key, self._images[key]["subset"])

    def count_missing(self, found: set[Any]) -> int:
        """Count the annotated images that were not found. A video may have more frames."""
        return 0 if self._frame_of is not None else len(self._images) - len(found)

    def document(self, key: int) -> bytes:
        """Return what is known of an image as JSON: `image` and `shapes`."""
        image = self._images[key] if self._frame_of is None else {"id": key, **self._frame_size}
        shapes = b", ".join(self._spool.read(key))
        return b'{"image": ' + _to_json(image) + b', "shapes": [' + shapes + b"]}"

    def draw(self, document: Mapping[str, Any], size: tuple[int, int]) -> LabelMap:
        """Draw the shapes of a document into a map of (height, width).

        Raises:
            SampleError: a shape cannot be drawn.
        """
        return draw_shapes(document["shapes"], self._labels.ids, size, self._line_width)

    def close(self) -> None:
        """Delete the temporary file. Idempotent."""
        self._spool.close()

    def _read(self, file: BinaryIO, paths: Sequence[str]) -> None:
        frames: list[int] = []
        track: _Track | None = None
        for kind, element in read_events(file, self._name):
            match kind:
                case "label":
                    self._labels.add_element(element)
                case "original_size":
                    self._frame_size = {
                        side: self._integer(element.findtext(side)) for side in ("width", "height")
                    }
                case "image":
                    track = None
                    self._add_image(element)
                case "track":
                    track = _Track(self._name, element)
                    frames = frames or self._number_frames(paths)
                    self._tasks.add(element.get("task_id", ""))
                case "shape" if track is not None:
                    track.add(parse_shape(element))
                case "shape":
                    self._add_shape(len(self._images) - 1, parse_shape(element))
                case "end" if track is not None:
                    for frame, shape in interpolate_track(track.shapes, frames):
                        self._add_shape(frame, shape)
        self._check_kind()

    def _check_kind(self) -> None:
        if self._images and self._tasks:
            raise ArchiveCorrupt(
                f"{self._name}: expected images or tracks, got both; this is no export of CVAT"
            )
        if len(self._tasks) > 1:
            raise UnreadableSource(
                f"{self._name}: frames of {len(self._tasks)} tasks have the same numbers; "
                f"{_SPLIT_HINT}"
            )

    def _add_image(self, element: Element) -> None:
        if len(self._images) >= MAX_IMAGES:
            raise ArchiveCorrupt(
                f"{self._name}: expected at most {MAX_IMAGES:,} images, got more; {_SPLIT_HINT}"
            )
        image: dict[str, Any] = {
            attribute: self._integer(element.get(attribute))
            for attribute in ("id", "width", "height")
        }
        image["name"] = element.get("name", "")
        image["subset"] = element.get("subset", "")
        if task := element.get("task_id"):
            image["task_id"] = self._integer(task)
        self._images.append(image)

    def _add_shape(self, key: int, shape: Shape) -> None:
        label = str(shape.get("label", ""))
        self._labels.add_shape(label)
        self._warn_of_shape(shape["type"], label)
        self._records += 1
        count = self._spool.append(key, _to_json(shape))
        if count > MAX_SHAPES or self._records > MAX_RECORDS:
            raise ArchiveCorrupt(
                f"{self._name}: expected at most {MAX_SHAPES:,} shapes of one image and "
                f"{MAX_RECORDS:,} in all, got more; {_SPLIT_HINT}"
            )

    def _warn_of_shape(self, kind: str, label: str) -> None:
        """Count a shape that is not drawn, with the reason. Tags never are: they have no area."""
        if kind not in KINDS:
            self.warnings["shapes of unknown kinds"] += 1
        elif label not in self._labels.ids:
            self.warnings["shapes with unknown labels"] += 1
        elif kind in NOT_DRAWN - {"tag"} or (kind == "polyline" and not self._line_width):
            self.warnings[f"{kind} not drawn"] += 1

    def _number_frames(self, paths: Sequence[str]) -> list[int]:
        """Keep which file is which frame; return the numbers of all frames, sorted.

        CVAT numbers the frames of a task from 0 in the order of the names of its files, and names
        them `frame_<number>` where it split the video itself.
        """
        numbers = [int(match[1]) for path in paths if (match := _FRAME.fullmatch(path))]
        if len(set(numbers)) == len(paths):
            self._frame_of = dict(zip(paths, numbers, strict=True))
        else:
            self._frame_of = {path: position for position, path in enumerate(sorted(paths))}
        return sorted(self._frame_of.values())

    def _index_names(self) -> dict[str, int]:
        """Return which image a name means: its own name, and that with its subset before it."""
        index: dict[str, int] = {}
        for key, image in enumerate(self._images):
            names = [image["name"]]
            if image["subset"]:
                names.insert(0, f"{image['subset']}/{image['name']}")
            for name in names:
                index[name] = _AMBIGUOUS if name in index else key
        return index

    def _integer(self, text: str | None) -> int:
        text = (text or "").strip()
        if not _INTEGER.fullmatch(text):
            raise ArchiveCorrupt(
                f"{self._name}: expected a whole number as id, width and height, got {text[:40]!r}"
            )
        return int(text)


def _to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
