"""Shapes of CVAT: from XML elements to records, and from records to label maps.

A record is what `annotations.json` says of a shape, under the names of the XML; `points` are x0,
y0, x1, y1, ... and `rle` are counts. How shapes are drawn, all by the rasterizer of COCO polygons:

    box         its four corners, rotated clockwise about its center by `rotation` degrees
    polygon     as it is
    ellipse     a polygon that deviates from it by less than 0.05 px, rotated likewise
    cuboid      what its faces cover together: the convex hull of its eight corners
    mask        its pixels, from counts along the rows of its own box
    polyline    not drawn by default; with a width in px, its segments as bars with round ends
    points, skeleton, tag    not drawn: they have no area

Shapes with a larger `z_order` (default 0) cover others; among equal ones, the later covers the
earlier. Shapes that are `outside` are not drawn.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-xml/
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.masks.polygons import Patch, fill_box
from dataset_assets.staging.masks.rle import decode_row_major
from dataset_assets.staging.sources.cvat._geometry import (
    box_polygon,
    ellipse_polygon,
    hull_polygon,
    polyline_polygons,
)

Shape = dict[str, Any]
#: Kinds with coordinates -> the attributes that they must have.
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
_FLOATS = frozenset(
    {"rotation", *COORDINATES["box"], *COORDINATES["ellipse"], *COORDINATES["cuboid"]}
)
_INTEGERS = frozenset(
    {"left", "top", "width", "height", "z_order", "frame", "group_id", "track_id"}
)
_BOOLEANS = frozenset({"occluded", "outside", "keyframe"})
#: Limit of any number in an export.
_MAX_NUMBER = 1e12


def parse_shape(element: Element) -> Shape:
    """Return the record of a shape.

    A value that cannot be read goes into the field `invalid`, so that only the one image with this
    shape fails.
    """
    shape: Shape = {"type": element.tag}
    try:
        shape |= {name: _parse_value(name, text) for name, text in element.attrib.items()}
        required = COORDINATES.get(element.tag, ())
        if missing := [name for name in required if name not in shape]:
            shape["invalid"] = f"{element.tag} without {missing[0]}"
    except (ValueError, OverflowError) as exc:
        shape["invalid"] = f"{element.tag}: {exc}"
    attributes = {}
    elements = []
    for child in element:
        if child.tag == "attribute":
            attributes[child.get("name", "")] = child.text or ""
        else:
            elements.append(parse_shape(child))
    if attributes:
        shape["attributes"] = attributes
    if elements:
        shape["elements"] = elements
    return shape


def draw_shapes(
    shapes: Iterable[Shape], ids: Mapping[str, int], size: tuple[int, int], line_width: float
) -> LabelMap:
    """Draw the shapes that have a label into a label map.

    Args:
        shapes: records of one image.
        ids: label name -> id.
        size: height and width, px.
        line_width: of polylines, px; 0: not drawn.

    Raises:
        SampleError: a shape cannot be drawn.
    """
    label_map = LabelMap(*size)
    for shape in sorted(shapes, key=lambda each: int(each.get("z_order", 0))):
        if problem := shape.get("invalid"):
            raise SampleError(Cause.INVALID_BBOX, str(problem))
        label = ids.get(shape.get("label", ""))
        if label is None or shape.get("outside"):
            continue
        try:
            for patch in _rasterize(shape, size, line_width):
                label_map.paint(patch, label)
        except ValueError as exc:
            raise SampleError(
                Cause.INVALID_BBOX, f"{shape['type']} of label {shape['label']!r}: {exc}"
            ) from exc
    return label_map


def _rasterize(shape: Shape, size: tuple[int, int], line_width: float) -> Iterator[Patch]:
    """Yield the areas of a shape, each cut to the image."""
    if shape["type"] == "mask":
        yield _decode_mask(shape, *size)
        return
    for polygon in _polygons(shape, line_width):
        yield fill_box(polygon, *size)


def _polygons(shape: Shape, line_width: float) -> list[list[float]]:
    kind = shape["type"]
    rotation = shape.get("rotation", 0.0)
    coordinates = [shape[name] for name in COORDINATES.get(kind, ())]
    match kind:
        case "polygon":
            return coordinates
        case "box":
            left, top, right, bottom = coordinates
            return [box_polygon(left, top, right, bottom, rotation)]
        case "ellipse":
            x, y, rx, ry = coordinates
            return [ellipse_polygon(x, y, rx, ry, rotation)]
        case "cuboid":
            return [hull_polygon(coordinates)]
        case "polyline" if line_width > 0:
            return polyline_polygons(coordinates[0], line_width)
    return []


def _decode_mask(shape: Shape, height: int, width: int) -> Patch:
    left = shape["left"]
    top = shape["top"]
    mask_width = shape["width"]
    mask_height = shape["height"]
    is_empty = mask_width < 1 or mask_height < 1
    if is_empty or not (0 <= left <= width - mask_width and 0 <= top <= height - mask_height):
        raise ValueError(
            f"{mask_width} x {mask_height} px at x={left}, y={top} does not lie within the image "
            f"of {width} x {height} px"
        )
    mask = decode_row_major(shape["rle"], mask_height, mask_width)
    return mask.astype(np.bool_), left, top


def _parse_value(name: str, text: str) -> Any:
    if name in _FLOATS:
        return _parse_number(text)
    if name in _BOOLEANS:
        return text.strip().lower() in {"1", "true"}
    if name in _INTEGERS:
        return round(_parse_number(text))
    if name == "points":
        return _parse_points(text)
    if name == "rle":
        return np.array(text.split(","), np.int64).tolist() if text.strip() else []
    return text


def _parse_points(text: str) -> list[float]:
    """Read "x,y;x,y;..."; a trailing semicolon is allowed."""
    values = []
    for pair in text.split(";"):
        if not pair.strip():
            continue
        parts = pair.split(",")
        if len(parts) != 2:
            raise ValueError(f"expected points as x,y;x,y;..., got {pair[:40]!r}")
        values += [_parse_number(part) for part in parts]
    return values


def _parse_number(text: str) -> float:
    number = float(text)
    # Also false for NaN.
    if not abs(number) < _MAX_NUMBER:
        raise ValueError(f"expected a number below {_MAX_NUMBER:.0e}, got {text[:40]!r}")
    return number
