"""Shrink with the area filter, by the fastest kernel that is installed.

`numba` is machine code and exact (`area_numba`). `opencv` needs only OpenCV; it is exact and slow,
but near ratios of 2, 4, 8 ... it does a linear resize to that multiple of the target and halves the
result, which is several times faster at 50 dB or more. A kernel is a function of (image, width,
height).
"""

from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec

import cv2
import numpy as np

from dataset_assets.errors import MissingDependency
from dataset_assets.images.pixels import Pixels

Kernel = Callable[[Pixels, int, int], Pixels]

#: Distance of a ratio from a power of two up to which the fast path of `opencv` keeps 50 dB.
_NEAR = (0.9, 1.15)


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
