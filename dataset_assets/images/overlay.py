"""Label maps drawn over images, for people to see at a glance whether they fit."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.images.pixels import Pixels

_STRENGTH = 0.55  # weight of the color of a label over the image
_EDGE = (255, 255, 255)
_IDS = 1 << 16


def overlay(
    image: Pixels, labels: NDArray[Any], colors: Mapping[int, tuple[int, int, int]]
) -> Pixels:
    """Draw a label map over an image, with white lines where labels meet.

    Label 0 is not drawn. A label without a color gets one from Pascal VOC's color map.

    Args:
        image: (H, W, 3) uint8, BGR.
        labels: (H, W) unsigned integers.
        colors: label -> RGB.

    Returns:
        A new image, (H, W, 3) uint8, BGR.
    """
    painted = make_palette(colors)[labels]
    mixed = cv2.addWeighted(image, 1 - _STRENGTH, painted, _STRENGTH, 0)
    drawn = labels != 0
    result = np.where(drawn[..., None], mixed, image)
    kernel = np.ones((2, 2), np.uint8)
    gradient = cv2.morphologyEx(labels.astype(np.uint16), cv2.MORPH_GRADIENT, kernel)
    result[gradient > 0] = _EDGE
    return result


def make_palette(colors: Mapping[int, tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Return the BGR color of every label, (65536, 3) uint8."""
    table = _GENERATED.copy()
    for label, (red, green, blue) in colors.items():
        if 0 < label < _IDS and (red, green, blue) != (0, 0, 0):
            table[label] = blue, green, red
    return table


def _generate() -> NDArray[np.uint8]:
    """Return distinct colors: the bits of a label, spread over the high bits of the channels.

    Source: the color map of Pascal VOC.
    """
    labels = np.arange(_IDS, dtype=np.uint32)
    table = np.zeros((_IDS, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            shifted = (labels >> (3 * bit + channel)) & 1
            table[:, 2 - channel] |= (shifted << (7 - bit)).astype(np.uint8)
    return table


_GENERATED = _generate()
