"""Blurring boxes, such as faces, as img2dataset does (after https://github.com/princetonvisualai/imagenet-face-obfuscation).

Each box is widened by a tenth of its longer side. One Gaussian for all boxes of an image: its radius is a tenth of the longest side of any box, rounded
up. The mask is blurred with it too, so edges fade.
"""

from collections.abc import Sequence
from math import ceil, isfinite

import cv2
import numpy as np

from dataset_assets.images.pixels import Pixels, RefusedImage
from dataset_assets.records.causes import Cause

#: left, top, right, bottom, each a share of width or height
Box = tuple[float, float, float, float]

#: Boxes may stick out of the image by its own size (faces at the edge do); beyond, the numbers are pixels or nonsense.
_LOWEST, _HIGHEST = -1.0, 2.0


def check_boxes(boxes: Sequence[Sequence[float]] | None) -> list[Box]:
    """Return boxes of any origin as numbers.

    Raises:
        RefusedImage: a box is not four such numbers. The image must not be stored: what was to be hidden would be seen.
    """
    try:
        checked = [tuple(float(value) for value in box) for box in (() if boxes is None else boxes)]
    except (TypeError, ValueError) as exc:
        raise RefusedImage(Cause.INVALID_BBOX, "invalid bounding box") from exc
    for box in checked:
        if (
            len(box) != 4
            or not all(isfinite(value) and _LOWEST <= value <= _HIGHEST for value in box)
            or box[0] > box[2]
            or box[1] > box[3]
        ):
            raise RefusedImage(Cause.INVALID_BBOX, "invalid bounding box")
    return [(left, top, right, bottom) for left, top, right, bottom in checked]


def blur_boxes(image: Pixels, boxes: Sequence[Box]) -> Pixels:
    """Return the image with the boxes blurred."""
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.float32)
    longest = 0
    for left, top, right, bottom in boxes:
        x0, y0, x1, y1 = (
            int(left * width),
            int(top * height),
            int(right * width),
            int(bottom * height),
        )
        side = max(x1 - x0, y1 - y0)
        longest = max(longest, side)
        x0, x1 = (min(max(int(x), 0), width - 1) for x in (x0 - 0.1 * side, x1 + 0.1 * side))
        y0, y1 = (min(max(int(y), 0), height - 1) for y in (y0 - 0.1 * side, y1 + 0.1 * side))
        mask[y0:y1, x0:x1] = 1
    diameter = 2 * max(1, ceil(0.1 * longest)) + 1
    pixels = image.astype(np.float32) / 255
    blurred = cv2.GaussianBlur(
        pixels, (diameter, diameter), 0
    )  # 0: OpenCV derives sigma from the diameter
    mask = cv2.GaussianBlur(mask, (diameter, diameter), 0)
    if image.ndim == 3:
        mask = mask[..., None]
    result: Pixels = ((pixels * (1 - mask) + blurred * mask) * 255).astype(np.uint8)
    return result
