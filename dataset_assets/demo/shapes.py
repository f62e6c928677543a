"""The second dataset of the demo: drawn scenes of shapes, as COCO 2017 is published.

`archives` makes the zip files of the site: images of both labelled partitions, and the archive with
their instances and captions. Equal on every machine up to the JPEG encoder. Nothing is stored; the
photo server answers with them. Format: https://cocodataset.org/#format-data
"""

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Partition -> number of its images.
PARTITIONS = {"train2017": 96, "val2017": 32}

_SEED = 2017
_WIDTH, _HEIGHT = 240, 180  # px
_MOST_SHAPES = 5
_QUALITY = 92
_DATE = (2017, 9, 1, 0, 0, 0)
#: Color -> BGR.
_COLORS = {
    "red": (52, 48, 214),
    "blue": (200, 110, 30),
    "yellow": (40, 200, 240),
    "green": (80, 160, 60),
    "violet": (170, 60, 130),
}
_GROUNDS = {"sand": (178, 208, 226), "slate": (120, 104, 92), "snow": (238, 234, 230)}


@dataclass(frozen=True, slots=True)
class _Category:
    """A class of shapes."""

    group: str
    corners: tuple[float, ...]
    """Distance of each corner to the center, as a part of the radius."""


_CATEGORIES = {
    "circle": _Category("round", (1.0,) * 36),
    "triangle": _Category("angular", (1.0,) * 3),
    "square": _Category("angular", (1.0,) * 4),
    "star": _Category("pointed", (1.0, 0.45) * 5),
}
_IDS = {name: number for number, name in enumerate(_CATEGORIES, 1)}


@dataclass(frozen=True, slots=True)
class _Shape:
    category: str
    color: str
    polygon: NDArray[np.float64]
    """(corners, 2) px."""


@dataclass(frozen=True, slots=True)
class _Scene:
    number: int
    ground: str
    shapes: tuple[_Shape, ...]

    @property
    def file_name(self) -> str:
        """Name of its JPEG, as COCO names images."""
        return f"{self.number:012d}.jpg"


@cache
def archives() -> Mapping[str, bytes]:
    """Return the archives, by their published file names."""
    scenes = {name: _scenes(name) for name in PARTITIONS}
    labels = {}
    for partition, found in scenes.items():
        labels[f"annotations/instances_{partition}.json"] = _instances(found)
        labels[f"annotations/captions_{partition}.json"] = _captions(found)
    images = {
        f"{partition}.zip": _zip(
            {f"{partition}/{scene.file_name}": _jpeg(scene) for scene in found},
            zipfile.ZIP_STORED,
        )
        for partition, found in scenes.items()
    }
    return {**images, "annotations_trainval2017.zip": _zip(labels, zipfile.ZIP_DEFLATED)}


def _scenes(partition: str) -> list[_Scene]:
    rng = Random(f"{_SEED} {partition}")
    first = 1 + 100_000 * list(PARTITIONS).index(partition)
    return [_scene(first + 7 * index, rng) for index in range(PARTITIONS[partition])]


def _scene(number: int, rng: Random) -> _Scene:
    count = 1 + _below(rng, _MOST_SHAPES)
    ground = _pick(rng, list(_GROUNDS))
    return _Scene(number, ground, tuple(_shape(rng) for _ in range(count)))


def _shape(rng: Random) -> _Shape:
    category = _pick(rng, list(_CATEGORIES))
    radius = 16 + 30 * rng.random()
    x = radius + (_WIDTH - 2 * radius) * rng.random()
    y = radius + (_HEIGHT - 2 * radius) * rng.random()
    distances = _CATEGORIES[category].corners
    turn = 2 * math.pi * rng.random()
    angles = turn + 2 * math.pi * np.arange(len(distances)) / len(distances)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    polygon = np.array([x, y]) + radius * np.array(distances)[:, None] * directions
    return _Shape(category, _pick(rng, list(_COLORS)), polygon.round(2))


def _pick(rng: Random, values: list[str]) -> str:
    return values[_below(rng, len(values))]


def _below(rng: Random, end: int) -> int:
    # `random` is the only method with the same results on every Python version.
    return int(rng.random() * end)


def _jpeg(scene: _Scene) -> bytes:
    pixels = np.empty((_HEIGHT, _WIDTH, 3), np.uint8)
    shade = np.linspace(1.0, 0.82, _HEIGHT)[:, None, None]
    pixels[:] = np.array(_GROUNDS[scene.ground]) * shade
    for shape in scene.shapes:
        corners = (shape.polygon * 16).round().astype(np.int32)
        cv2.fillPoly(pixels, [corners], _COLORS[shape.color], cv2.LINE_AA, shift=4)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()


def _instances(scenes: list[_Scene]) -> bytes:
    shapes = [(scene.number, shape) for scene in scenes for shape in scene.shapes]
    annotations = [
        {"id": number, "image_id": image, **_annotation(shape)}
        for number, (image, shape) in enumerate(shapes, 1)
    ]
    categories = [
        {"id": _IDS[name], "name": name, "supercategory": category.group}
        for name, category in _CATEGORIES.items()
    ]
    return _document(scenes, annotations, categories=categories)


def _annotation(shape: _Shape) -> dict[str, Any]:
    low = shape.polygon.min(axis=0)
    sides = shape.polygon.max(axis=0) - low
    return {
        "category_id": _IDS[shape.category],
        "segmentation": [shape.polygon.ravel().tolist()],
        "area": round(float(cv2.contourArea(shape.polygon.astype(np.float32))), 2),
        "bbox": [round(float(value), 2) for value in (*low, *sides)],
        "iscrowd": 0,
    }


def _captions(scenes: list[_Scene]) -> bytes:
    captions = [
        {"id": number, "image_id": scene.number, "caption": _caption(scene)}
        for number, scene in enumerate(scenes, 1)
    ]
    return _document(scenes, captions)


def _caption(scene: _Scene) -> str:
    names = [f"a {shape.color} {shape.category}" for shape in scene.shapes]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} on {scene.ground}"


def _document(scenes: list[_Scene], annotations: list[dict[str, Any]], **more: Any) -> bytes:
    images = [
        {
            "id": scene.number,
            "file_name": scene.file_name,
            "width": _WIDTH,
            "height": _HEIGHT,
            "license": 1,
            "coco_url": f"http://images.cocodataset.org/{scene.file_name}",
        }
        for scene in scenes
    ]
    licenses = [{"id": 1, "name": "Drawn by the demo", "url": "https://creativecommons.org/zero"}]
    info = {"description": "Shapes in the layout of COCO 2017", "year": 2017}
    found = {"info": info, "licenses": licenses, "images": images, "annotations": annotations}
    return json.dumps({**found, **more}).encode()


def _zip(files: Mapping[str, bytes], compression: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data, compression)
    return target.getvalue()
