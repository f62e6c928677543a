"""Encodes masks as COCO's run lengths: the inverse of `dataset_assets/staging/masks/rle.py`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BITS = 5
MORE = 32
SIGN = 16


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
            bits, number = number & (MORE - 1), number >> BITS
            more = number != (-1 if bits & SIGN else 0)
            characters.append(chr(ord("0") + bits + (MORE if more else 0)))
    return "".join(characters)
