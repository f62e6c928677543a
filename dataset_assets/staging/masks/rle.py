"""Decodes masks from run lengths.

COCO counts down the columns and stores lists or text; CVAT counts along the rows.

Runs alternate between 0 and 1 and begin with zeros. In text, a count is written as the difference
to the one two before it (from the fourth on), in groups of five bits, lowest first, as characters
from "0" on; 32 marks a group that is not the last of its number.

Source: the mask format of the COCO API (cocodataset/cocoapi, common/maskApi.h).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = Sequence[int] | str | bytes | NDArray[np.int64]
_FIRST = ord("0")
_BITS = 5
_MORE = 32
_SIGN = 16
#: Groups of one number: 60 bits.
_MAX_GROUPS = 12


def decode(counts: Counts, height: int, width: int) -> NDArray[np.uint8]:
    """Return the mask, (height, width) of 0 and 1, of counts down the columns, as in COCO.

    Raises:
        ValueError: the counts do not cover the mask exactly, or are invalid.
    """
    return _expand(counts, height, width).reshape(width, height).T


def decode_row_major(counts: Counts, height: int, width: int) -> NDArray[np.uint8]:
    """Return the mask, (height, width) of 0 and 1, of counts along the rows, as in CVAT.

    Raises:
        ValueError: the counts do not cover the mask exactly, or are invalid.
    """
    return _expand(counts, height, width).reshape(height, width)


def decompress(text: str | bytes) -> NDArray[np.int64]:
    """Read counts that are stored as text.

    Raises:
        ValueError: it is not such a text.
    """
    data = text.encode() if isinstance(text, str) else text
    groups = np.frombuffer(data, np.uint8).astype(np.int64) - _FIRST
    if not groups.size:
        return groups
    ends = np.flatnonzero((groups & _MORE) == 0)
    in_range = groups.min() >= 0 and groups.max() < 2 * _MORE
    if not in_range or not ends.size or ends[-1] != groups.size - 1:
        raise ValueError(
            "run lengths as text: expected characters from '0' to 'o', the last number complete"
        )
    numbers = _join_groups(groups, ends)
    # The differences are to the number two before, so odd and even ones add up on their own. The
    # first number is not part of a chain.
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _join_groups(groups: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of groups of five bits; `ends` are the last groups of each."""
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_GROUPS:
        raise ValueError("run lengths as text: a number of more than 60 bits")
    shifts = _BITS * (np.arange(groups.size) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((groups & (_MORE - 1)) << shifts, starts)
    # Numbers are in two's complement: the highest bit of the last group is the sign.
    is_negative = (groups[ends] & _SIGN) != 0
    result: NDArray[np.int64] = numbers - np.where(is_negative, np.int64(1) << (_BITS * lengths), 0)
    return result


def _expand(counts: Counts, height: int, width: int) -> NDArray[np.uint8]:
    """Return the pixels (height * width) of 0 and 1."""
    runs = decompress(counts) if isinstance(counts, str | bytes) else _integers(counts)
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(
            f"run lengths: expected counts from 0 on that add up to {height} x {width} = "
            f"{height * width} pixels, got {int(runs.sum())}"
        )
    return np.repeat((np.arange(runs.size) & 1).astype(np.uint8), runs)


def _integers(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    runs = np.asarray(counts if len(counts) else np.empty(0, np.int64))
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise ValueError(f"run lengths: expected a list of whole numbers, got {str(counts)[:60]}")
    return runs.astype(np.int64)
