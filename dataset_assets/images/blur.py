"""Blur boxes, such as faces, as img2dataset does.

Each box is widened by a tenth of its longer side. All boxes of an image are blurred with one
Gaussian, whose radius is a tenth of the longest side of a box, rounded up. The mask is blurred with
it as well, so edges are soft.

Source: https://github.com/princetonvisualai/imagenet-face-obfuscation
"""

from collections.abc import Sequence
from math import ceil

import cv2
import numpy as np

from dataset_assets.images.pixels import Pixels, RefusedImage
from dataset_assets.records.causes import Cause

#: left, top, right, bottom, each a share of width or height
Box = tuple[float, float, float, float]

#: Boxes of faces at an edge reach out of the image. Beyond its own size, numbers are no shares.
_LOWEST = -1.0
_HIGHEST = 2.0


def check_boxes(boxes: Sequence[Sequence[float]]) -> list[Box]:
    """Return boxes from any source as numbers.

    Raises:
        RefusedImage: a box is not valid. Storing the image would show what was to be hidden.
    """
    try:
        return [_check_box(*map(float, box)) for box in boxes]
    except (TypeError, ValueError) as exc:
        raise RefusedImage(Cause.INVALID_BBOX, "invalid bounding box") from exc


def _check_box(left: float, top: float, right: float, bottom: float) -> Box:
    if not _LOWEST <= left <= right <= _HIGHEST or not _LOWEST <= top <= bottom <= _HIGHEST:
        raise ValueError("not in order, or outside the image")
    return left, top, right, bottom


def blur_boxes(image: Pixels, boxes: Sequence[Box]) -> Pixels:
    """Return the image with the boxes blurred."""
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.float32)
    longest = 0
    for left, top, right, bottom in boxes:
        x0 = int(left * width)
        y0 = int(top * height)
        x1 = int(right * width)
        y1 = int(bottom * height)
        side = max(x1 - x0, y1 - y0)
        longest = max(longest, side)
        margin = 0.1 * side
        rows = slice(_clip(y0 - margin, height), _clip(y1 + margin, height))
        columns = slice(_clip(x0 - margin, width), _clip(x1 + margin, width))
        mask[rows, columns] = 1
    diameter = 2 * max(1, ceil(0.1 * longest)) + 1
    pixels = image.astype(np.float32) / 255
    # OpenCV derives a sigma of 0 from the diameter.
    blurred = cv2.GaussianBlur(pixels, (diameter, diameter), 0)
    mask = cv2.GaussianBlur(mask, (diameter, diameter), 0)
    if image.ndim == 3:
        mask = mask[..., None]
    result: Pixels = ((pixels * (1 - mask) + blurred * mask) * 255).astype(np.uint8)
    return result


def _clip(value: float, size: int) -> int:
    return min(max(int(value), 0), size - 1)
