"""The label map of one image: label ids of a dataset, painted over each other, as a PNG.

The PNG has one channel. 0 is where nothing was painted.
"""

import numpy as np
from numpy.typing import NDArray

from dataset_assets.staging.masks.polygons import Patch

MAX_LABEL = 65535
_MAX_BYTE = 255
_ZLIB_LEVEL = 3


class LabelMap:
    """Label ids (height, width), uint8; uint16 from the first id above 255 on.

    What is painted later covers what was painted before.
    """

    def __init__(self, height: int, width: int) -> None:
        #: Column-major in memory, as the masks of polygons and run lengths are.
        self.pixels: NDArray[np.uint8] | NDArray[np.uint16] = np.zeros(
            (height, width), np.uint8, order="F"
        )

    def paint(self, mask: NDArray[np.generic] | Patch, label: int) -> None:
        """Give a label to the pixels where a mask is not 0.

        Args:
            mask: (height, width), or a part of it with its left column and top row.
            label: 0 to 65,535.

        Raises:
            ValueError: the label is out of range, or the mask exceeds the image.
        """
        part, left, top = mask if isinstance(mask, tuple) else (mask, 0, 0)
        if not 0 <= label <= MAX_LABEL:
            raise ValueError(f"label map: expected an id from 0 to {MAX_LABEL}, got {label}")
        height, width = part.shape
        rows, columns = self.pixels.shape
        if not (0 <= left <= columns - width and 0 <= top <= rows - height):
            raise ValueError(
                f"label map: a mask of shape {part.shape} at x={left}, y={top} does not lie within "
                f"{self.pixels.shape}"
            )
        if label > _MAX_BYTE and self.pixels.dtype == np.uint8:
            self.pixels = self.pixels.astype(np.uint16, order="F")
        below = self.pixels[top : top + height, left : left + width]
        np.copyto(below, below.dtype.type(label), where=part.astype(np.bool_, copy=False))

    def count_pixels(self) -> dict[int, int]:
        """Return the number of pixels of each label. Pixels that were not painted do not count."""
        counts = np.bincount(self.pixels.ravel(order="K"))
        return {int(label): int(counts[label]) for label in np.flatnonzero(counts) if label}

    def encode(self) -> bytes:
        """Return the PNG."""
        import cv2

        # PNG filters help photographs. Without them, label maps decode five times faster and are
        # hardly larger.
        flags = [
            cv2.IMWRITE_PNG_COMPRESSION,
            _ZLIB_LEVEL,
            cv2.IMWRITE_PNG_FILTER,
            cv2.IMWRITE_PNG_FILTER_NONE,
        ]
        _, data = cv2.imencode(".png", np.ascontiguousarray(self.pixels), flags)
        return bytes(data)
