"""The orientation that cameras note in EXIF: images for training are turned as viewers show them.

Label maps are drawn on images as stored, so other parts of this package do not turn them.
Values: https://www.cipa.jp/std/documents/download_e.html?DC-008-Translation-2023-E
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset_assets.images.header import ImageHeader

_TAG = 0x0112
_FORMATS = ("JPEG", "PNG", "WEBP")
AS_STORED = 1
#: Orientation -> quarters of a turn against the clock, and whether left and right are swapped then.
_TURNS = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}


def read_orientation(body: bytes, header: ImageHeader) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 if there is none or it is damaged.

    Args:
        body: the file.
        header: the result of `read_header`.
    """
    if not header.has_exif:
        return AS_STORED
    try:
        with Image.open(BytesIO(body), formats=_FORMATS) as image:
            found = image.getexif().get(_TAG, AS_STORED)
    except Exception:  # noqa: BLE001 - damaged files raise any exception in Pillow
        return AS_STORED
    return found if found in _TURNS else AS_STORED


def swaps_sides(orientation: int) -> bool:
    """Tell whether height and width are exchanged when the image is turned."""
    quarters, _ = _TURNS[orientation]
    return quarters % 2 == 1


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return the pixels (H, W) or (H, W, C) as viewers show them."""
    if orientation == AS_STORED:
        return pixels
    quarters, is_mirrored = _TURNS[orientation]
    turned = np.rot90(pixels, quarters)
    return np.ascontiguousarray(turned[:, ::-1] if is_mirrored else turned)
