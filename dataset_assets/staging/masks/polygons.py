"""Polygons to masks, pixel by pixel as the COCO API draws them.

The boundary is walked on a grid five times finer than the pixels. Where it passes the middle of a column of pixels, the column changes between
outside and inside from there down. Only the box of the polygon is filled.
Source: the published algorithm, `rleFrPoly` of cocodataset/cocoapi (common/maskApi.c), roundings included.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
Patch = tuple[Mask, int, int]  # a part of a mask, its left column, its top row
_FINER = 5
_MAX_STEPS = 5_000_000  # along one boundary: a million pixels


def fill(polygon: Sequence[float] | ArrayLike, height: int, width: int) -> Mask:
    """Return the mask, (height, width), of one polygon x0, y0, x1, y1, ... in px. It may leave the image, cross itself, or be empty.

    Raises:
        ValueError: the coordinates are no pairs of finite numbers, or far too large.
    """
    return fill_all([polygon], height, width)


def fill_all(polygons: Iterable[Sequence[float] | ArrayLike], height: int, width: int) -> Mask:
    """Return the mask, (height, width), of the pixels that any of the polygons covers.

    Raises:
        ValueError: the coordinates are no pairs of finite numbers, or far too large.
    """
    mask = np.zeros((height, width), np.bool_, order="F")
    for polygon in polygons:
        part, left, top = fill_box(polygon, height, width)
        mask[top : top + part.shape[0], left : left + part.shape[1]] |= part
    return mask


def fill_box(polygon: Sequence[float] | ArrayLike, height: int, width: int) -> Patch:
    """Return the mask of one polygon, cut to the box that holds all of its pixels, with the box's left column and top row.

    Raises:
        ValueError: the coordinates are no pairs of finite numbers, or far too large.
    """
    columns, rows = _changes(*_boundary(_corners(polygon)), height, width)
    if not columns.size:
        return np.zeros((0, 0), np.bool_), 0, 0
    left, top = int(columns.min()), int(rows.min())
    box_width, box_height = int(columns.max()) - left + 1, int(rows.max()) - top
    at = (columns - left) * box_height + (
        rows - top
    )  # down the columns; a change below the last row is one at the top of the next
    at.sort()
    runs = np.diff(at, prepend=0, append=box_width * box_height)
    inside = (np.arange(runs.size) & 1).astype(np.bool_)
    return np.repeat(inside, runs).reshape(box_width, box_height).T, left, top


def _corners(polygon: Sequence[float] | ArrayLike) -> NDArray[np.int64]:
    """Return the corners (n, 2) on the fine grid."""
    points = np.asarray(polygon, np.float64)
    if points.ndim != 1 or points.size % 2:
        raise ValueError(
            f"polygon: expected a list x0, y0, x1, y1, ..., got {points.size} numbers of shape {points.shape}"
        )
    fine = points.reshape(-1, 2) * _FINER + 0.5
    if not (np.abs(fine) < _MAX_STEPS).all():
        raise ValueError(
            f"polygon: expected finite coordinates below {_MAX_STEPS // _FINER:,} px, got {str(polygon)[:60]}"
        )
    return fine.astype(np.int64)  # cuts towards zero, as all roundings here: those of C


def _boundary(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return x and y of every step of the closed boundary; each edge steps along its longer axis, and both its ends are steps."""
    ends = np.roll(corners, -1, axis=0)
    along = np.abs(ends - corners)
    steep = along[:, 1] > along[:, 0]
    longer = np.where(steep, along[:, 1], along[:, 0])
    if longer.sum() > _MAX_STEPS:
        raise ValueError(f"polygon: its boundary is longer than {_MAX_STEPS // _FINER:,} px")
    axis = steep.astype(np.int64)
    edges = np.arange(len(corners))
    main, other = corners[edges, axis], corners[edges, 1 - axis]
    main_end, other_end = ends[edges, axis], ends[edges, 1 - axis]
    back = (
        main > main_end
    )  # the line is computed from its lower end on the longer axis, whatever its direction
    slope = np.where(back, other - other_end, other_end - other) / np.maximum(longer, 1)
    count = longer + 1
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    step = np.where(np.repeat(back, count), np.repeat(longer, count) - step, step)
    on_main = np.repeat(np.minimum(main, main_end), count) + step
    on_other = (
        np.repeat(np.where(back, other_end, other), count) + np.repeat(slope, count) * step + 0.5
    ).astype(np.int64)
    upright = np.repeat(steep, count)
    return np.where(upright, on_other, on_main), np.where(upright, on_main, on_other)


def _changes(
    x: NDArray[np.int64], y: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return column and row (0 to height) of the places where pixels change between outside and inside."""
    left = np.minimum(x[1:], x[:-1])
    passed = np.flatnonzero(
        (x[1:] != x[:-1]) & (left % _FINER == 2) & (left >= 0) & (left < _FINER * width)
    )
    rows = (np.minimum(y[passed], y[passed + 1]) + 2) // _FINER
    return left[passed] // _FINER, np.clip(rows, 0, height)
