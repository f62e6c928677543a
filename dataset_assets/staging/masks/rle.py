"""Masks as run lengths: COCO's, counted down the columns, as lists or as text; and those of CVAT, counted along the rows.

Runs alternate between 0 and 1 and begin with zeros. As text, a count is written as the difference to the one two before it (from the fourth
on), in groups of five bits, lowest first, as characters from "0" on; 32 marks a group that is not the last of its number.
Source: the mask format of the COCO API (cocodataset/cocoapi, common/maskApi.h).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = Sequence[int] | str | bytes | NDArray[np.int64]
_FIRST = ord("0")
_BITS, _MORE, _SIGN = 5, 32, 16
_MAX_GROUPS = 12  # of one number: 60 bits


def decode(counts: Counts, height: int, width: int) -> NDArray[np.uint8]:
    """Return the mask, (height, width) of 0 and 1, of counts that run down the columns, as COCO's do.

    Raises:
        ValueError: they do not cover the mask exactly, or are none.
    """
    return _spread(counts, height, width).reshape(width, height).T


def row_major(counts: Counts, height: int, width: int) -> NDArray[np.uint8]:
    """Return the mask, (height, width) of 0 and 1, of counts that run along the rows, as CVAT's do.

    Raises:
        ValueError: they do not cover the mask exactly, or are none.
    """
    return _spread(counts, height, width).reshape(height, width)


def encode(mask: NDArray[np.generic]) -> list[int]:
    """Return the counts of a mask, (height, width), down its columns."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    return [0, *counts] if flat.size and flat[0] else counts


def compress(counts: Sequence[int]) -> str:
    """Write counts as text."""
    characters = []
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits, number = number & (_MORE - 1), number >> _BITS
            more = number != (-1 if bits & _SIGN else 0)
            characters.append(chr(_FIRST + bits + (_MORE if more else 0)))
    return "".join(characters)


def decompress(text: str | bytes) -> NDArray[np.int64]:
    """Read counts that were written as text.

    Raises:
        ValueError: it is not such a text.
    """
    data = text.encode() if isinstance(text, str) else text
    groups = np.frombuffer(data, np.uint8).astype(np.int64) - _FIRST
    if not groups.size:
        return groups
    ends = np.flatnonzero((groups & _MORE) == 0)
    if (
        groups.min() < 0
        or groups.max() >= 2 * _MORE
        or not ends.size
        or ends[-1] != groups.size - 1
    ):
        raise ValueError(
            "run lengths as text: expected characters from '0' to 'o', the last number complete"
        )
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_GROUPS:
        raise ValueError("run lengths as text: a number of more than 60 bits")
    shifts = _BITS * (np.arange(groups.size) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((groups & (_MORE - 1)) << shifts, starts)
    numbers -= np.where(groups[ends] & _SIGN, np.int64(1) << (_BITS * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _spread(counts: Counts, height: int, width: int) -> NDArray[np.uint8]:
    runs = decompress(counts) if isinstance(counts, str | bytes) else _whole(counts)
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(
            f"run lengths: expected counts from 0 on that add up to {height} x {width} = {height * width} pixels, got {int(runs.sum())}"
        )
    return np.repeat((np.arange(runs.size) & 1).astype(np.uint8), runs)


def _whole(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    runs = np.asarray(counts if len(counts) else np.empty(0, np.int64))
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise ValueError(f"run lengths: expected a list of whole numbers, got {str(counts)[:60]}")
    return runs.astype(np.int64)
