"""Shapes of CVAT: from elements to records, and from records to label maps.

A record is what `annotations.json` says of a shape, under the names of the XML; `points` are x0, y0, x1, y1, ... and `rle` are counts.
How shapes are drawn, all by the rasteriser of COCO polygons (see `_polygons`):
    box         its four corners, turned clockwise about its middle by `rotation` degrees
    polygon     as it is
    ellipse     a polygon that leaves it by less than a twentieth of a pixel, turned likewise
    cuboid      what its faces cover together: the hull of its eight corners
    mask        its pixels, from counts along the rows of its own box
    polyline    not, or with a width in px: its segments as bars with round ends
    points, skeleton, tag    not: they cover no area
A larger `z_order` lies on top, of equal ones the later; no `z_order` is 0. Shapes that are `outside` are not there.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.masks.polygons import Patch, fill_box
from dataset_assets.staging.masks.rle import decode_row_major

Record = dict[str, Any]
#: Drawn kinds -> coordinates that they must have
COORDINATES: dict[str, tuple[str, ...]] = {
    "box": ("xtl", "ytl", "xbr", "ybr"),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "cuboid": tuple(
        f"{axis}{corner}{face}"
        for face in (1, 2)
        for corner in ("tl", "bl", "tr", "br")
        for axis in ("x", "y")
    ),
    "mask": ("left", "top", "width", "height", "rle"),
    "polygon": ("points",),
    "polyline": ("points",),
    "points": ("points",),
}
NOT_DRAWN = frozenset({"points", "skeleton", "tag"})
KINDS = frozenset(COORDINATES) | NOT_DRAWN
_FLOATS = {name for kind in ("box", "ellipse", "cuboid") for name in COORDINATES[kind]} | {
    "rotation"
}
_WHOLE = {"left", "top", "width", "height", "z_order", "frame", "group_id", "track_id"}
_SWITCHES = {"occluded", "outside", "keyframe"}
_LARGEST = 1e12  # number that anything in an export has
_MAX_CORNERS = 2048  # of the polygon that stands for an ellipse


def record_of(element: Element) -> Record:
    """Return the record of a shape. What can not be read becomes its field `invalid`, for the one image that it is in."""
    record: Record = {"type": element.tag}
    try:
        record |= {name: _value(name, text) for name, text in element.attrib.items()}
        if missing := [name for name in COORDINATES.get(element.tag, ()) if name not in record]:
            record["invalid"] = f"{element.tag} without {missing[0]}"
    except (ValueError, OverflowError) as exc:
        record["invalid"] = f"{element.tag}: {exc}"
    attributes = {
        each.get("name", ""): each.text or "" for each in element if each.tag == "attribute"
    }
    elements = [record_of(each) for each in element if each.tag != "attribute"]
    return (
        record
        | ({"attributes": attributes} if attributes else {})
        | ({"elements": elements} if elements else {})
    )


def draw(
    shapes: Iterable[Record], ids: Mapping[str, int], size: tuple[int, int], line_width: float
) -> LabelMap:
    """Draw shapes into a label map of (height, width); those with a label out of `ids`.

    Raises:
        SampleError: a shape can not be drawn.
    """
    label_map = LabelMap(*size)
    for shape in sorted(shapes, key=lambda each: int(each.get("z_order", 0))):
        if problem := shape.get("invalid"):
            raise SampleError(Cause.INVALID_BBOX, str(problem))
        label = ids.get(shape.get("label", ""))
        if label is None or shape.get("outside"):
            continue
        try:
            for patch in _patches(shape, size, line_width):
                label_map.paint(patch, label)
        except ValueError as exc:
            raise SampleError(
                Cause.INVALID_BBOX, f"{shape['type']} of label {shape['label']!r}: {exc}"
            ) from exc
    return label_map


def box(left: float, top: float, right: float, bottom: float, rotation: float) -> list[float]:
    """Return the corners of a box that is turned clockwise about its middle by `rotation` degrees, as a polygon."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return _turned(corners, ((left + right) / 2, (top + bottom) / 2), rotation)


def _patches(shape: Record, size: tuple[int, int], line_width: float) -> Iterator[Patch]:
    """Return the areas of a shape, each cut to the image, with its left column and top row."""
    if shape["type"] == "mask":
        yield _mask(shape, *size)
        return
    for polygon in _polygons(shape, line_width):
        yield fill_box(polygon, *size)


def _polygons(shape: Record, line_width: float) -> list[list[float]]:
    match shape["type"]:
        case "polygon":
            return [shape["points"]]
        case "box":
            left, top, right, bottom = (shape[name] for name in COORDINATES["box"])
            return [box(left, top, right, bottom, shape.get("rotation", 0.0))]
        case "ellipse":
            x, y, *radii = (shape[name] for name in COORDINATES["ellipse"])
            return [_turned(_ellipse(x, y, *radii), (x, y), shape.get("rotation", 0.0))]
        case "cuboid":
            values = [shape[name] for name in COORDINATES["cuboid"]]
            return [_flat(_hull(list(zip(values[::2], values[1::2], strict=True))))]
        case "polyline" if line_width > 0:
            return _bars(shape["points"], line_width / 2)
    return []


def _mask(shape: Record, height: int, width: int) -> Patch:
    left, top, mask_width, mask_height = (
        shape[name] for name in ("left", "top", "width", "height")
    )
    if (
        mask_width < 1
        or mask_height < 1
        or left < 0
        or top < 0
        or left + mask_width > width
        or top + mask_height > height
    ):
        raise ValueError(
            f"{mask_width} x {mask_height} px at x={left}, y={top} does not lie within the image of {width} x {height} px"
        )
    return decode_row_major(shape["rle"], mask_height, mask_width).astype(np.bool_), left, top


def _value(name: str, text: str) -> Any:
    if name in _FLOATS:
        return _number(text)
    if name in _SWITCHES:
        return text.strip().lower() in {"1", "true"}
    if name in _WHOLE:
        return round(_number(text))
    if name == "points":
        return [_number(part) for pair in text.split(";") if pair.strip() for part in _pair(pair)]
    if name == "rle":
        return np.array(text.split(","), np.int64).tolist() if text.strip() else []
    return text


def _pair(text: str) -> list[str]:
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError(f"expected points as x,y;x,y;..., came {text[:40]!r}")
    return parts


def _number(text: str) -> float:
    number = float(text)
    if not abs(number) < _LARGEST:
        raise ValueError(f"expected a number below {_LARGEST:.0e}, came {text[:40]!r}")
    return number


def _flat(points: Iterable[tuple[float, float]]) -> list[float]:
    return [value for point in points for value in point]


def _turned(
    points: Iterable[tuple[float, float]], middle: tuple[float, float], rotation: float
) -> list[float]:
    """Turn points clockwise, as seen with y downwards, by degrees."""
    if not rotation:
        return _flat(points)
    x, y = middle
    sin, cos = math.sin(math.radians(rotation)), math.cos(math.radians(rotation))
    return _flat(
        (x + (px - x) * cos - (py - y) * sin, y + (px - x) * sin + (py - y) * cos)
        for px, py in points
    )


def _ellipse(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    count = min(
        _MAX_CORNERS, max(16, math.ceil(math.pi * math.sqrt(max(abs(rx), abs(ry)) * 10)))
    )  # so that it is off by less than 0.05 px
    angles = [2 * math.pi * step / count for step in range(count)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def _hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the convex hull, around it. Source: Andrew's monotone chain."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    return [*_chain(ordered)[:-1], *_chain(ordered[::-1])[:-1]]


def _chain(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
    chain: list[tuple[float, float]] = []
    for x, y in ordered:
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2:]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain


def _bars(points: list[float], radius: float) -> list[list[float]]:
    """Return a polyline as polygons: a bar for each segment, a disc for each corner."""
    corners = list(zip(points[::2], points[1::2], strict=True))
    polygons = [_flat(_ellipse(x, y, radius, radius)) for x, y in corners]
    for (ax, ay), (bx, by) in itertools.pairwise(corners):
        if length := math.hypot(bx - ax, by - ay):
            across, up = (ay - by) / length * radius, (bx - ax) / length * radius
            polygons.append(
                [
                    ax + across,
                    ay + up,
                    bx + across,
                    by + up,
                    bx - across,
                    by - up,
                    ax - across,
                    ay - up,
                ]
            )
    return polygons
