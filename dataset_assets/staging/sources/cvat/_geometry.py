"""Shapes of CVAT as polygons x0, y0, x1, y1, ... in pixels, with y downwards."""

import itertools
import math
from collections.abc import Iterable

Point = tuple[float, float]
#: Corners of the polygon that stands for an ellipse.
_MIN_CORNERS = 16
_MAX_CORNERS = 2048


def box_polygon(
    left: float, top: float, right: float, bottom: float, rotation: float
) -> list[float]:
    """Return a box that is rotated clockwise about its center, in degrees."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    center = ((left + right) / 2, (top + bottom) / 2)
    return _rotate(corners, center, rotation)


def ellipse_polygon(x: float, y: float, rx: float, ry: float, rotation: float) -> list[float]:
    """Return an ellipse that is rotated clockwise about its center, in degrees."""
    return _rotate(_ellipse(x, y, rx, ry), (x, y), rotation)


def hull_polygon(values: list[float]) -> list[float]:
    """Return the convex hull of points x0, y0, x1, y1, ...

    Source: Andrew's monotone chain.
    """
    ordered = sorted(set(_points(values)))
    if len(ordered) < 3:
        return _flatten(ordered)
    return _flatten([*_half_hull(ordered)[:-1], *_half_hull(ordered[::-1])[:-1]])


def polyline_polygons(values: list[float], width: float) -> list[list[float]]:
    """Return a polyline as a rectangle for each segment and a disc for each corner."""
    radius = width / 2
    corners = _points(values)
    polygons = [_flatten(_ellipse(x, y, radius, radius)) for x, y in corners]
    for (ax, ay), (bx, by) in itertools.pairwise(corners):
        length = math.hypot(bx - ax, by - ay)
        if not length:
            continue
        # A vector across the segment, half as long as the line is wide.
        dx = (ay - by) / length * radius
        dy = (bx - ax) / length * radius
        polygons.append([ax + dx, ay + dy, bx + dx, by + dy, bx - dx, by - dy, ax - dx, ay - dy])
    return polygons


def _points(values: list[float]) -> list[Point]:
    return list(zip(values[::2], values[1::2], strict=True))


def _flatten(points: Iterable[Point]) -> list[float]:
    return [value for point in points for value in point]


def _rotate(points: Iterable[Point], center: Point, rotation: float) -> list[float]:
    """Rotate points clockwise, in degrees."""
    if not rotation:
        return _flatten(points)
    x, y = center
    sin = math.sin(math.radians(rotation))
    cos = math.cos(math.radians(rotation))
    return _flatten(
        (x + (px - x) * cos - (py - y) * sin, y + (px - x) * sin + (py - y) * cos)
        for px, py in points
    )


def _ellipse(x: float, y: float, rx: float, ry: float) -> list[Point]:
    """Return the corners of a polygon that deviates from an ellipse by less than 0.05 px."""
    needed = math.ceil(math.pi * math.sqrt(max(abs(rx), abs(ry)) * 10))
    count = min(_MAX_CORNERS, max(_MIN_CORNERS, needed))
    angles = [2 * math.pi * step / count for step in range(count)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def _half_hull(ordered: list[Point]) -> list[Point]:
    chain: list[Point] = []
    for x, y in ordered:
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2:]
            turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            if turn > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain
