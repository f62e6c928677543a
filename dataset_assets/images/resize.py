"""The sizes of the resize modes of img2dataset, and images at those sizes.

    no                  the original size
    keep_ratio          shorter side = image_size
    center_crop         shorter side = image_size, then the central square
    keep_ratio_largest  longer side = image_size
    border              longer side = image_size, then white up to a square

The side that is scaled to image_size decides whether an image shrinks (downscale_interpolation) or
grows (upscale_interpolation, or not at all with resize_only_if_bigger). Sides are rounded half to
even and have at least one pixel.
"""

from dataclasses import dataclass

import cv2

from dataset_assets.images.area import load_area_kernel
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.pixels import Pixels

_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "bilinear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
    "lanczos4": cv2.INTER_LANCZOS4,
}


@dataclass(frozen=True, slots=True)
class TargetSize:
    """The size to scale an image to, then the side of the square to make of it."""

    width: int  # px
    height: int
    shrinks: bool
    square: int = 0  # px; 0: no square


def compute_target(width: int, height: int, options: ImageOptions) -> TargetSize | None:
    """Return the size for an image of `width` x `height` pixels, None to keep its size."""
    mode = options.resize_mode
    size = options.image_size
    if mode == "no":
        return None
    side = min(width, height) if mode in ("keep_ratio", "center_crop") else max(width, height)
    if options.resize_only_if_bigger and side <= size:
        return None
    factor = size / side
    square = size if mode in ("center_crop", "border") else 0
    return TargetSize(
        max(1, round(width * factor)), max(1, round(height * factor)), side > size, square
    )


def choose_reduction(width: int, height: int, target: TargetSize) -> int:
    """Return how many times smaller to decode a JPEG: 1, 2, 4 or 8.

    Both sides keep at least twice the size of the target.
    """
    for times in (8, 4, 2):
        if -(-width // times) >= 2 * target.width and -(-height // times) >= 2 * target.height:
            return times
    return 1


def scale(image: Pixels, target: TargetSize, options: ImageOptions) -> Pixels:
    """Scale to the width and height of the target."""
    if image.shape[:2] == (target.height, target.width):
        return image
    name = options.downscale_interpolation if target.shrinks else options.upscale_interpolation
    if target.shrinks and name == "area":
        return load_area_kernel(options.area_kernel)(image, target.width, target.height)
    scaled: Pixels = cv2.resize(
        image, (target.width, target.height), interpolation=_INTERPOLATIONS[name]
    )
    return scaled


def make_square(image: Pixels, size: int) -> Pixels:
    """Crop the center of sides that are longer than `size` pixels, add white to shorter ones."""
    height, width = image.shape[:2]
    if (width, height) == (size, size):
        return image
    top = max(0, (height - size) // 2)
    left = max(0, (width - size) // 2)
    image = image[top : top + size, left : left + size]
    above = max(0, (size - height) // 2)
    before = max(0, (size - width) // 2)
    below = max(0, size - height - above)
    after = max(0, size - width - before)
    square: Pixels = cv2.copyMakeBorder(
        image, above, below, before, after, cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
    return square
