"""The label map of one image: a dataset's own label ids, painted one over the other, as a PNG of one channel. 0 is where nothing was painted."""

import numpy as np
from numpy.typing import NDArray

LARGEST_ID = 65535
_LARGEST_BYTE = 255
_LEVEL = 3  # of zlib


class LabelMap:
    """Label ids (height, width), uint8, or uint16 from the first id above 255 on. What is painted later lies on top."""

    def __init__(self, height: int, width: int) -> None:
        #: Down the columns in memory, as masks of polygons and run lengths are.
        self.pixels: NDArray[np.uint8] | NDArray[np.uint16] = np.zeros(
            (height, width), np.uint8, order="F"
        )

    def paint(
        self, mask: NDArray[np.generic] | tuple[NDArray[np.generic], int, int], label: int
    ) -> None:
        """Give a label to the pixels where a mask is not 0. The mask is (height, width), or a part of it with its left column and top row.

        Raises:
            ValueError: the label is none that a map can hold, or the mask does not lie within it.
        """
        part, left, top = mask if isinstance(mask, tuple) else (mask, 0, 0)
        if not 0 <= label <= LARGEST_ID:
            raise ValueError(f"label map: expected an id from 0 to {LARGEST_ID}, got {label}")
        if (
            left < 0
            or top < 0
            or left + part.shape[1] > self.pixels.shape[1]
            or top + part.shape[0] > self.pixels.shape[0]
        ):
            raise ValueError(
                f"label map: a mask of shape {part.shape} at x={left}, y={top} does not lie within {self.pixels.shape}"
            )
        if label > _LARGEST_BYTE and self.pixels.dtype == np.uint8:
            self.pixels = self.pixels.astype(np.uint16, order="F")
        below = self.pixels[top : top + part.shape[0], left : left + part.shape[1]]
        np.copyto(below, below.dtype.type(label), where=part.astype(np.bool_, copy=False))

    def counts(self) -> dict[int, int]:
        """Return how many pixels show each label, by label; not where nothing was painted."""
        found = np.bincount(self.pixels.ravel(order="K"))
        return {int(label): int(found[label]) for label in np.flatnonzero(found) if label}

    def encode(self) -> bytes:
        """Return the PNG."""
        import cv2

        # filters help photographs: without them label maps are decoded in a fifth of the time and are hardly larger
        flags = [
            cv2.IMWRITE_PNG_COMPRESSION,
            _LEVEL,
            cv2.IMWRITE_PNG_FILTER,
            cv2.IMWRITE_PNG_FILTER_NONE,
        ]
        _, data = cv2.imencode(".png", np.ascontiguousarray(self.pixels), flags)
        return bytes(data)
