"""Tracks of CVAT videos: where an object is in each frame.

Between two shapes of a track, boxes, ellipses, cuboids and figures with equally many points move in a straight line, and turn the shorter way; others
stay as they were. An object that is not `outside` in its last shape stays there to the end. So CVAT itself draws its tracks.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from dataset_assets.staging.sources.cvat._shapes import COORDINATES, Record

_TYPES = frozenset({"box", "ellipse", "cuboid", "polygon", "polyline", "points"})
_DIGITS = 2  # of coordinates, as CVAT writes them


def frames_of(shapes: Sequence[Record], frames: Sequence[int]) -> Iterator[tuple[int, Record]]:
    """Yield (frame, shape) for those of the sorted `frames` in which the object of a track is seen."""
    anchors = sorted({shape["frame"]: shape for shape in shapes}.items())
    for position, (frame, shape) in enumerate(anchors):
        following = anchors[position + 1] if position + 1 < len(anchors) else None
        if _is_outside(shape):
            continue
        first = bisect_left(frames, frame)
        last = bisect_left(frames, following[0]) if following else len(frames)
        for each in frames[first:last]:
            yield each, shape if each == frame else _between(shape, frame, following, each)


def _is_outside(shape: Record) -> bool:
    """Tell whether an object is not in the frame; a skeleton says so by its points."""
    if shape["type"] == "skeleton" and shape.get("elements"):
        return all(each.get("outside") for each in shape["elements"])
    return bool(shape.get("outside"))


def _between(shape: Record, frame: int, following: tuple[int, Record] | None, at: int) -> Record:
    """Return the shape in a frame after its own, and before that of the following one."""
    moved = shape | {"frame": at, "keyframe": False}
    if following is None:
        return moved
    end, other = following
    if (
        shape["type"] != other["type"]
        or shape["type"] not in _TYPES
        or "invalid" in shape
        or "invalid" in other
    ):
        return moved
    share = (at - frame) / (end - frame)
    for name in COORDINATES[shape["type"]]:
        moved[name] = _mixed(shape[name], other[name], share)
    if "rotation" in shape or "rotation" in other:
        start = shape.get("rotation", 0.0)
        way = (other.get("rotation", 0.0) - start + 180) % 360 - 180
        moved["rotation"] = round((start + way * share) % 360, _DIGITS)
    return moved


def _mixed(start: Any, end: Any, share: float) -> Any:
    if not isinstance(start, list):
        return round(start + (end - start) * share, _DIGITS)
    return (
        [_mixed(a, b, share) for a, b in zip(start, end, strict=True)]
        if len(start) == len(end)
        else start
    )
