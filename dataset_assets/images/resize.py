"""The sizes of the resize modes of img2dataset, and images at those sizes.

    no                  the original size
    keep_ratio          shorter side = image_size
    center_crop         shorter side = image_size, then the central square
    keep_ratio_largest  longer side = image_size
    border              longer side = image_size, then white up to a square

The side that is scaled to image_size decides whether an image shrinks (downscale_interpolation) or
grows (upscale_interpolation, or not at all with resize_only_if_bigger). Sides are rounded half to
even and have at least one pixel.

The area filter shrinks with the fastest kernel that is installed. `numba` is machine code and exact
(`area_numba`). `opencv` needs only OpenCV; it is exact and slow, but near ratios of 2, 4, 8 ... it
does a linear resize to that multiple of the target and halves the result, which is several times
faster at 50 dB or more. A kernel is a function of (image, width, height).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec

import cv2
import numpy as np

from dataset_assets.errors import MissingDependency
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
#: Distance of a ratio from a power of two up to which the fast path of `opencv` keeps 50 dB.
_NEAR = (0.9, 1.15)

Kernel = Callable[[Pixels, int, int], Pixels]


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


@cache
def load_area_kernel(name: str) -> Kernel:
    """Return the kernel of this name with its machine code loaded, or compiled and cached.

    Args:
        name: "numba", "opencv", or "auto" for the faster one that is installed.

    Raises:
        MissingDependency: the kernel is "numba", which is not installed.
    """
    installed = find_spec("numba") is not None
    if name == "opencv" or (name == "auto" and not installed):
        return shrink_opencv
    if not installed:
        raise MissingDependency(
            "area_kernel: 'numba' is not installed; install dataset-assets[fast] or use 'opencv'"
        )
    from dataset_assets.images import area_numba

    kernel = partial(_shrink_numba, area_numba.shrink)
    for shape in ((3, 3), (3, 3, 3)):
        _prime(kernel, np.zeros(shape, np.uint8))
    return kernel


def shrink_opencv(image: Pixels, width: int, height: int) -> Pixels:
    """Shrink to (height, width) pixels with OpenCV only."""
    multiple = _near_power_of_two(image.shape[1] / width, image.shape[0] / height)
    if multiple > 1:
        image = cv2.resize(
            image, (width * multiple, height * multiple), interpolation=cv2.INTER_LINEAR
        )
    while multiple > 2:
        multiple //= 2
        image = cv2.resize(
            image, (width * multiple, height * multiple), interpolation=cv2.INTER_AREA
        )
    result: Pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return result


def _near_power_of_two(*ratios: float) -> int:
    power = 2
    while power * _NEAR[1] < min(ratios):
        power *= 2
    low, high = _NEAR
    return power if all(power * low <= ratio <= power * high for ratio in ratios) else 1


def _shrink_numba(
    shrink: Callable[[Pixels, Pixels, int], None], image: Pixels, width: int, height: int
) -> Pixels:
    channels = 1 if image.ndim == 2 else image.shape[2]
    source = np.ascontiguousarray(image).reshape(image.shape[0], -1)
    target = np.empty((height, width, *image.shape[2:]), np.uint8)
    shrink(source, target.reshape(height, -1), channels)
    return target


def _prime(kernel: Kernel, image: Pixels) -> None:
    try:
        kernel(image, 2, 2)
    except OSError:  # the machine code was compiled but could not be written to the cache
        kernel(image, 2, 2)
