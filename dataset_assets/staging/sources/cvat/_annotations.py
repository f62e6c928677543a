"""The annotations of an export in CVAT's XML: read once as a stream, kept per image in a temporary file, given back as JSON documents.

Images are found by name, with or without their subset as a folder; frames of a video by the number in `frame_000012.png`, or, where files have other
names, by their place in alphabetical order. Labels have ids from 1 on in the order of the head; those that are parts of a skeleton have none.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple
from xml.etree.ElementTree import Element

from dataset_assets.errors import ArchiveCorrupt, UnreadableSource
from dataset_assets.records.staged import ClassLabel
from dataset_assets.staging.masks.label_map import MAX_LABEL, LabelMap
from dataset_assets.staging.sources.cvat import (
    _shapes as _cvat_shapes,
)
from dataset_assets.staging.sources.cvat import (
    _tracks as _cvat_tracks,
)
from dataset_assets.staging.sources.cvat import (
    _xml as _cvat_xml,
)
from dataset_assets.staging.sources.cvat._shapes import Record
from dataset_assets.staging.sources.cvat._spool import Spool

MAX_IMAGES = 1_000_000
MAX_SHAPES = 100_000  # of one image, and of one track
MAX_RECORDS = 20_000_000  # of all images, those between the frames of tracks included
_AMBIGUOUS = -1
_FRAME = re.compile(r"(?:.*[/\\])?frame_(\d{1,18})\.[^.]*")
_WHOLE = re.compile("-?[0-9]{1,18}")
_COLOR = re.compile("#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


class Found(NamedTuple):
    """An image that annotations know."""

    key: Any
    subset: str


class XmlAnnotations:
    """One XML file, for the pictures with these paths."""

    def __init__(self, file: BinaryIO, name: str, paths: Sequence[str], line_width: float) -> None:
        self._odd: Counter[str] = Counter()
        self._name, self._line_width = name, line_width
        self._ids: dict[str, int] = {}
        self._colors: list[tuple[int, int, int] | None] = []
        self._images: list[dict[str, Any]] = []
        self._size: dict[str, int] = {}  # of the frames of a video
        self._tasks: set[str] = set()
        self._frame_of: dict[str, int] | None = None  # of a video
        self._spool = Spool()
        self._records = 0
        self._read(file, paths)
        self._by_name = self._names()

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The labels of the head."""
        return tuple(
            ClassLabel(number, name, color=color)
            for (name, number), color in zip(self._ids.items(), self._colors, strict=True)
        )

    @property
    def warnings(self) -> Mapping[str, int]:
        """What is odd, and how often."""
        return self._odd

    def find(self, path: str) -> Found | None:
        """Return the image that a picture is of.

        Raises:
            UnreadableSource: several images have its name.
        """
        if self._frame_of is not None:
            return Found(self._frame_of[path], "")
        key = self._by_name.get(path)
        if key == _AMBIGUOUS:
            raise UnreadableSource(
                f"{self._name}: several images are called {path!r}; expected each in the folder of its subset: export the tasks one by one"
            )
        return None if key is None else Found(key, self._images[key]["subset"])

    def missing(self, found: set[Any]) -> int:
        """Return how many images have annotations, but no picture."""
        return 0 if self._frame_of is not None else len(self._images) - len(found)

    def document(self, key: int) -> bytes:
        """Return what is known of an image as JSON: `image` and `shapes`."""
        image = {"id": key, **self._size} if self._frame_of is not None else self._images[key]
        return (
            b'{"image": '
            + _json(image)
            + b', "shapes": ['
            + b", ".join(self._spool.read(key))
            + b"]}"
        )

    def draw(self, document: Mapping[str, Any], size: tuple[int, int]) -> LabelMap:
        """Draw the shapes of a document into a map of (height, width).

        Raises:
            SampleError: a shape can not be drawn.
        """
        return _cvat_shapes.draw(document["shapes"], self._ids, size, self._line_width)

    def close(self) -> None:
        """Give the temporary file up. Idempotent."""
        self._spool.close()

    def _read(self, file: BinaryIO, paths: Sequence[str]) -> None:
        frames: list[int] = []
        track: Element | None = None
        shapes: list[Record] = []
        has_labels = False
        for kind, element in _cvat_xml.read(file, self._name):
            match kind:
                case "label":
                    has_labels = True
                    self._add_label(element)
                case "original_size":
                    self._size = {
                        name: self._whole(element.findtext(name)) for name in ("width", "height")
                    }
                case "image":
                    track = None
                    self._add_image(element)
                case "track":
                    track, shapes = element, []
                    frames = frames or self._frames(paths)
                    self._tasks.add(element.get("task_id", ""))
                case "shape":
                    record = _cvat_shapes.record_of(element)
                    if track is None:
                        self._add_shape(len(self._images) - 1, record, has_labels)
                    else:
                        shapes.append(self._in_track(record, track, len(shapes)))
                case "end" if track is not None:
                    for frame, record in _cvat_tracks.frames_of(shapes, frames):
                        self._add_shape(frame, record, has_labels)
        self._check()

    def _check(self) -> None:
        if self._images and self._tasks:
            raise ArchiveCorrupt(
                f"{self._name}: expected images or tracks, came both; this is no export of CVAT"
            )
        if len(self._tasks) > 1:
            raise UnreadableSource(
                f"{self._name}: frames of {len(self._tasks)} tasks have the same numbers; export the tasks one by one"
            )

    def _add_label(self, element: Element) -> None:
        name = element.findtext("name") or ""
        if element.find("parent") is not None or name in self._ids:
            return
        found = _COLOR.fullmatch((element.findtext("color") or "").strip())
        self._new_label(
            name, (int(found[1], 16), int(found[2], 16), int(found[3], 16)) if found else None
        )

    def _new_label(self, name: str, color: tuple[int, int, int] | None) -> None:
        if len(self._ids) >= MAX_LABEL:
            raise ArchiveCorrupt(f"{self._name}: expected at most {MAX_LABEL} labels, came more")
        self._ids[name] = len(self._ids) + 1
        self._colors.append(color)

    def _add_image(self, element: Element) -> None:
        if len(self._images) >= MAX_IMAGES:
            raise ArchiveCorrupt(
                f"{self._name}: expected at most {MAX_IMAGES:,} images, came more; export the tasks one by one"
            )
        numbers = {name: self._whole(element.get(name)) for name in ("id", "width", "height")}
        task = element.get("task_id")
        image = numbers | {"name": element.get("name", ""), "subset": element.get("subset", "")}
        self._images.append(image | ({"task_id": self._whole(task)} if task else {}))

    def _in_track(self, record: Record, track: Element, position: int) -> Record:
        if "frame" not in record or "invalid" in record:
            why = record.get("invalid", "it has no frame")
            raise ArchiveCorrupt(
                f"{self._name}: track {track.get('id', '')[:40]}: expected shapes with frames, came another ({why})"
            )
        if position >= MAX_SHAPES:
            raise ArchiveCorrupt(
                f"{self._name}: expected at most {MAX_SHAPES:,} shapes of one track, came more"
            )
        more = {
            "track_id": track.get("id", ""),
            "label": record.get("label") or track.get("label", ""),
        }
        return (
            record
            | more
            | {name: track.get(name) for name in ("source", "group_id") if track.get(name)}
        )

    def _add_shape(self, key: int, record: Record, has_labels: bool) -> None:
        label, kind = str(record.get("label", "")), record["type"]
        if (
            label not in self._ids and not has_labels
        ):  # written by another tool: the head says nothing
            self._new_label(label, None)
        if kind not in _cvat_shapes.KINDS:
            self._odd["shapes of unknown kinds"] += 1
        elif label not in self._ids:
            self._odd["shapes with unknown labels"] += 1
        elif kind in {"points", "skeleton"} or (kind == "polyline" and not self._line_width):
            self._odd[f"{kind} not drawn"] += 1
        self._records += 1
        if self._spool.append(key, _json(record)) > MAX_SHAPES or self._records > MAX_RECORDS:
            raise ArchiveCorrupt(
                f"{self._name}: expected at most {MAX_SHAPES:,} shapes of one image and {MAX_RECORDS:,} in all, came more; export the tasks one by one"
            )

    def _frames(self, paths: Sequence[str]) -> list[int]:
        """Return the numbers of all frames, sorted, and keep which file has which."""
        numbers = [int(found[1]) for path in paths if (found := _FRAME.fullmatch(path))]
        if len(set(numbers)) == len(paths):
            self._frame_of = dict(zip(paths, numbers, strict=True))
        else:
            self._frame_of = {path: position for position, path in enumerate(sorted(paths))}
        return sorted(self._frame_of.values())

    def _names(self) -> dict[str, int]:
        """Return which image a name means: that of the image, and that with its subset before it."""
        names: dict[str, int] = {}
        for key, image in enumerate(self._images):
            full = f"{image['subset']}/{image['name']}"
            if image["subset"]:
                names[full] = _AMBIGUOUS if full in names else key
            names[image["name"]] = _AMBIGUOUS if image["name"] in names else key
        return names

    def _whole(self, text: str | None) -> int:
        text = (text or "").strip()
        if not _WHOLE.fullmatch(text):
            raise ArchiveCorrupt(
                f"{self._name}: expected a whole number as id, width and height, came {text[:40]!r}"
            )
        return int(text)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
