"""Rasterizes polygons, pixel by pixel as the COCO API does.

The boundary is walked on a grid five times finer than the pixels. Where it passes the middle of a
column of pixels, the column changes between outside and inside from there down. Only the bounding
box of the polygon is filled.

Source: the published algorithm, `rleFrPoly` of cocodataset/cocoapi (common/maskApi.c), with its
rounding.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: A part of a mask, with its left column and top row.
Patch = tuple[NDArray[np.bool_], int, int]
#: Grid steps in a pixel.
_SCALE = 5
#: Steps of one boundary: a million pixels.
_MAX_STEPS = 5_000_000


def fill_box(polygon: Sequence[float] | ArrayLike, height: int, width: int) -> Patch:
    """Return the mask of one polygon, cut to the box of its pixels, with the position of the box.

    Args:
        polygon: x0, y0, x1, y1, ... in pixels. It may leave the image, cross itself, or be empty.
        height: pixels.
        width: pixels.

    Raises:
        ValueError: the coordinates are not pairs of finite numbers, or are far too large.
    """
    columns, rows = _changes(*_boundary(_edges(_corners(polygon))), height, width)
    if not columns.size:
        return np.zeros((0, 0), np.bool_), 0, 0
    left = int(columns.min())
    top = int(rows.min())
    box_width = int(columns.max()) - left + 1
    box_height = int(rows.max()) - top
    # Positions down the columns. A change below the last row is one at the top of the next column.
    positions = (columns - left) * box_height + (rows - top)
    positions.sort()
    runs = np.diff(positions, prepend=0, append=box_width * box_height)
    is_inside = (np.arange(runs.size) & 1).astype(np.bool_)
    return np.repeat(is_inside, runs).reshape(box_width, box_height).T, left, top


def _corners(polygon: Sequence[float] | ArrayLike) -> NDArray[np.int64]:
    """Return the corners (n, 2) on the fine grid."""
    points = np.asarray(polygon, np.float64)
    if points.ndim != 1 or points.size % 2:
        raise ValueError(
            f"polygon: expected a list x0, y0, x1, y1, ..., got {points.size} numbers of shape "
            f"{points.shape}"
        )
    fine = points.reshape(-1, 2) * _SCALE + 0.5
    if not (np.abs(fine) < _MAX_STEPS).all():
        raise ValueError(
            f"polygon: expected finite coordinates below {_MAX_STEPS // _SCALE:,} px, "
            f"got {str(polygon)[:60]}"
        )
    # Truncates towards zero, as all rounding here: that of C.
    return fine.astype(np.int64)


class _Edges(NamedTuple):
    """Edges on the fine grid, (n) each. The main axis of an edge is its longer one."""

    is_steep: NDArray[np.bool_]
    """Whether y is the main axis."""
    is_reversed: NDArray[np.bool_]
    """Whether the edge runs downwards on its main axis."""
    length: NDArray[np.int64]
    """On the main axis."""
    main: NDArray[np.int64]
    """Lower end on the main axis."""
    other: NDArray[np.int64]
    """The other coordinate at this end."""
    slope: NDArray[np.float64]
    """Change of the other coordinate for each step on the main axis."""


def _edges(corners: NDArray[np.int64]) -> _Edges:
    """Return the edges of a closed boundary, each from its lower end on its main axis.

    The COCO API computes every line from that end: otherwise the rounding of an edge would depend
    on its direction.
    """
    ends = np.roll(corners, -1, axis=0)
    lengths = np.abs(ends - corners)
    is_steep = lengths[:, 1] > lengths[:, 0]
    length = np.where(is_steep, lengths[:, 1], lengths[:, 0])
    axis = is_steep.astype(np.int64)
    index = np.arange(len(corners))
    main = corners[index, axis]
    main_end = ends[index, axis]
    other = corners[index, 1 - axis]
    other_end = ends[index, 1 - axis]
    is_reversed = main > main_end
    rise = np.where(is_reversed, other - other_end, other_end - other)
    return _Edges(
        is_steep,
        is_reversed,
        length,
        np.minimum(main, main_end),
        np.where(is_reversed, other_end, other),
        rise / np.maximum(length, 1),
    )


def _boundary(edges: _Edges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return x and y of every step of the closed boundary, in its direction.

    Each edge steps along its main axis, and both of its ends are steps.
    """
    if edges.length.sum() > _MAX_STEPS:
        raise ValueError(f"polygon: its boundary is longer than {_MAX_STEPS // _SCALE:,} px")
    counts = edges.length + 1
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    reversed_steps = np.repeat(edges.length, counts) - steps
    steps = np.where(np.repeat(edges.is_reversed, counts), reversed_steps, steps)
    main = np.repeat(edges.main, counts) + steps
    other = np.repeat(edges.other, counts) + np.repeat(edges.slope, counts) * steps + 0.5
    other = other.astype(np.int64)
    is_steep = np.repeat(edges.is_steep, counts)
    return np.where(is_steep, other, main), np.where(is_steep, main, other)


def _changes(
    x: NDArray[np.int64], y: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return column and row (0 to height) of each change between outside and inside."""
    left = np.minimum(x[1:], x[:-1])
    is_middle = left % _SCALE == _SCALE // 2
    is_in_image = (left >= 0) & (left < _SCALE * width)
    passed = np.flatnonzero((x[1:] != x[:-1]) & is_middle & is_in_image)
    # The first row whose center is not above the boundary: ceil((y - 2) / 5).
    rows = (np.minimum(y[passed], y[passed + 1]) + 2) // _SCALE
    return left[passed] // _SCALE, np.clip(rows, 0, height)
