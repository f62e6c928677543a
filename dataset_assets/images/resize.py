"""The sizes of img2dataset's resize modes, and pixels at those sizes.

    no                  as it is
    keep_ratio          shorter side = image_size
    center_crop         shorter side = image_size, then the middle square
    keep_ratio_largest  longer side = image_size
    border              longer side = image_size, then white up to a square

The side that is scaled to image_size decides whether an image shrinks (downscale_interpolation) or grows (upscale_interpolation, nothing at all with
resize_only_if_bigger). Sides are rounded half to even and are at least one pixel.
"""

from dataclasses import dataclass

import cv2

from dataset_assets.images.area import area_kernel
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
class Target:
    """What becomes of an image of one size: scaled to this size, then made a square of `square` pixels (0: left as it is)."""

    width: int  # px
    height: int
    shrinks: bool
    square: int = 0


def target_of(width: int, height: int, options: ImageOptions) -> Target | None:
    """Compute the size for an image of `width` x `height` pixels, or None when it is kept as it is."""
    mode, size = options.resize_mode, options.image_size
    if mode == "no":
        return None
    side = min(width, height) if mode in ("keep_ratio", "center_crop") else max(width, height)
    if options.resize_only_if_bigger and side <= size:
        return None
    factor = size / side
    square = size if mode in ("center_crop", "border") else 0
    return Target(
        max(1, round(width * factor)), max(1, round(height * factor)), side > size, square
    )


def reduction_for(width: int, height: int, target: Target) -> int:
    """Return how many times smaller a JPEG may be decoded while at least twice the target remains on both sides: 1, 2, 4 or 8."""
    for times in (8, 4, 2):
        if -(-width // times) >= 2 * target.width and -(-height // times) >= 2 * target.height:
            return times
    return 1


def scale(image: Pixels, target: Target, options: ImageOptions) -> Pixels:
    """Scale to the width and height of the target."""
    if image.shape[:2] == (target.height, target.width):
        return image
    name = options.downscale_interpolation if target.shrinks else options.upscale_interpolation
    if target.shrinks and name == "area":
        return area_kernel(options.area_kernel)(image, target.width, target.height)
    scaled: Pixels = cv2.resize(
        image, (target.width, target.height), interpolation=_INTERPOLATIONS[name]
    )
    return scaled


def make_square(image: Pixels, size: int) -> Pixels:
    """Crop the middle of what is larger than `size` pixels, and surround with white what is smaller."""
    height, width = image.shape[:2]
    if (width, height) == (size, size):
        return image
    top, left = max(0, (height - size) // 2), max(0, (width - size) // 2)
    image = image[top : top + size, left : left + size]
    above, before = max(0, (size - height) // 2), max(0, (size - width) // 2)
    below, after = max(0, size - height - above), max(0, size - width - before)
    square: Pixels = cv2.copyMakeBorder(
        image, above, below, before, after, cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
    return square
