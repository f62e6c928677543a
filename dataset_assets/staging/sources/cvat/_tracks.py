"""Tracks of CVAT videos: where an object is in each frame.

Between two key frames, boxes, ellipses, cuboids and figures with equally many points move in a
straight line and rotate the shorter way; others stay as they were. An object that is not `outside`
in its last key frame stays there to the end. CVAT draws its tracks in the same way.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-xml/
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from dataset_assets.staging.sources.cvat._shapes import COORDINATES, Shape

_INTERPOLATED = frozenset({"box", "ellipse", "cuboid", "polygon", "polyline", "points"})
#: Decimals of coordinates, as CVAT writes them.
_DECIMALS = 2


def interpolate_track(
    shapes: Sequence[Shape], frames: Sequence[int]
) -> Iterator[tuple[int, Shape]]:
    """Yield (frame, shape) for each frame in which the object of a track is visible.

    Args:
        shapes: the key frames of the track, in any order; of two with one frame the later counts.
        frames: numbers of all frames of the video, sorted.
    """
    key_shapes = {shape["frame"]: shape for shape in shapes}
    key_frames: list[int] = sorted(key_shapes)
    for frame, following in zip(key_frames, [*key_frames[1:], None], strict=True):
        shape = key_shapes[frame]
        if _is_outside(shape):
            continue
        target = None if following is None else key_shapes[following]
        first = bisect_left(frames, frame)
        last = len(frames) if following is None else bisect_left(frames, following)
        for at in frames[first:last]:
            yield at, shape if at == frame else _interpolate(shape, target, at)


def _is_outside(shape: Shape) -> bool:
    """Tell whether an object is not in the frame; a skeleton says so by its points."""
    if shape["type"] == "skeleton" and shape.get("elements"):
        return all(each.get("outside") for each in shape["elements"])
    return bool(shape.get("outside"))


def _interpolate(shape: Shape, target: Shape | None, at: int) -> Shape:
    """Return a shape in a frame after its own and before that of the target."""
    moved = shape | {"frame": at, "keyframe": False}
    if target is None or not _can_interpolate(shape, target):
        return moved
    share = (at - shape["frame"]) / (target["frame"] - shape["frame"])
    for name in COORDINATES[shape["type"]]:
        moved[name] = _mix(shape[name], target[name], share)
    if "rotation" in shape or "rotation" in target:
        start = shape.get("rotation", 0.0)
        # Between -180 and 180 degrees: the shorter way.
        difference = (target.get("rotation", 0.0) - start + 180) % 360 - 180
        moved["rotation"] = round((start + difference * share) % 360, _DECIMALS)
    return moved


def _can_interpolate(shape: Shape, target: Shape) -> bool:
    if shape["type"] != target["type"] or shape["type"] not in _INTERPOLATED:
        return False
    return "invalid" not in shape and "invalid" not in target


def _mix(start: Any, end: Any, share: float) -> Any:
    """Return the values at a share of the way; lists of different lengths stay as they were."""
    if not isinstance(start, list):
        return round(start + (end - start) * share, _DECIMALS)
    if len(start) != len(end):
        return start
    return [_mix(a, b, share) for a, b in zip(start, end, strict=True)]
