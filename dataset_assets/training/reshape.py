"""Bring pixels to the size of a bucket, exactly, whatever their own size is.

    bicubic      both sides are scaled, the aspect ratio of the bucket wins
    resize_crop  scaled until the bucket is covered, then the center
    center_crop  the center at its own scale; a smaller image is scaled until the bucket is covered
    random_crop  like center_crop, from a random place

Sizes are computed with integers and rounded up, so a crop is never a pixel short. Only the part
that is kept is resampled: a strip of 1 x 100000 pixels takes no more memory than its bucket.
Filters have the support of the shrinking (no aliasing), and keep to the range of the pixels. They
are those of finetrainers: bilinear for resize_crop, bicubic for the others.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.training.buckets import Bucket

RESHAPE_MODES = ("bicubic", "center_crop", "resize_crop", "random_crop")
_FILTERS = {
    "bicubic": "BICUBIC",
    "center_crop": "BICUBIC",
    "resize_crop": "BILINEAR",
    "random_crop": "BICUBIC",
}
#: A place for a crop, as shares of the room that there is above and to the left.
CENTER = (0.5, 0.5)


class Placement(NamedTuple):
    """The size to scale to, and the corner of the bucket in it, all in pixels."""

    height: int
    width: int
    top: int
    left: int


def place(
    height: int, width: int, bucket: Bucket, mode: str, corner: tuple[float, float] = CENTER
) -> Placement:
    """Compute how a sample is scaled and cropped.

    Args:
        height: of the sample, in pixels.
        width: of the sample, in pixels.
        bucket: the size that it gets.
        mode: one of RESHAPE_MODES.
        corner: two numbers from [0, 1), used by random_crop only.

    Returns:
        A placement whose crop of the size of the bucket is inside the scaled sample.

    Raises:
        ConfigurationError: the mode is unknown, or a side is below 1.
    """
    checks.one_of("reshape_mode", mode, RESHAPE_MODES)
    checks.integer("height", height, 1)
    checks.integer("width", width, 1)
    if mode == "bicubic":
        return Placement(bucket.height, bucket.width, 0, 0)
    scaled_height, scaled_width = height, width
    if mode == "resize_crop" or height < bucket.height or width < bucket.width:
        scaled_height, scaled_width = _cover(height, width, bucket)
    room_above = scaled_height - bucket.height
    room_left = scaled_width - bucket.width
    if mode == "random_crop":
        top = int(corner[0] * (room_above + 1))
        left = int(corner[1] * (room_left + 1))
        return Placement(scaled_height, scaled_width, top, left)
    return Placement(scaled_height, scaled_width, room_above // 2, room_left // 2)


def choose_decoding(height: int, width: int, bucket: Bucket, mode: str) -> int:
    """Return how many times smaller a JPEG may be decoded: 1, 2, 4 or 8.

    Both sides stay at least twice as long as they are scaled to, so what the decoder leaves out is
    finer than what is kept. Crops at their own scale are decoded whole.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        bucket: the size that it gets.
        mode: one of RESHAPE_MODES.
    """
    placed = place(height, width, bucket, mode)
    for times in (8, 4, 2):
        if height >= 2 * times * placed.height and width >= 2 * times * placed.width:
            return times
    return 1


def reshape(
    pixels: NDArray[np.uint8],
    bucket: Bucket,
    mode: str = "bicubic",
    corner: tuple[float, float] = CENTER,
) -> NDArray[np.uint8]:
    """Scale and crop an image or a frame to the size of a bucket.

    Args:
        pixels: (H, W, 3) uint8.
        bucket: the size.
        mode: one of RESHAPE_MODES.
        corner: see `place`.

    Returns:
        (bucket.height, bucket.width, 3) uint8.

    Raises:
        ConfigurationError: the mode is unknown, or the array is not of this shape.

    Example:
        >>> wide = np.zeros((90, 160, 3), np.uint8)
        >>> reshape(wide, Bucket(1, 256, 256), "resize_crop").shape
        (256, 256, 3)
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ConfigurationError(
            f"pixels: expected (H, W, 3) uint8, got {pixels.shape} {pixels.dtype}"
        )
    height, width = pixels.shape[:2]
    placed = place(height, width, bucket, mode, corner)
    bottom = placed.top + bucket.height
    right = placed.left + bucket.width
    if (placed.height, placed.width) == (height, width):
        return pixels[placed.top : bottom, placed.left : right]
    vertical = height / placed.height
    horizontal = width / placed.width
    # rounding must not lead over the edge
    box = (
        placed.left * horizontal,
        placed.top * vertical,
        min(right * horizontal, width),
        min(bottom * vertical, height),
    )
    size = (bucket.width, bucket.height)
    from PIL import Image  # options are read where no image is

    filter_ = Image.Resampling[_FILTERS[mode]]
    return np.asarray(Image.fromarray(pixels).resize(size, filter_, box=box))


def normalize(pixels: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[Any]:
    """Return (H, W, 3) uint8 pixels as (3, H, W) float32 in [-1, 1]: value / 127.5 - 1.

    Args:
        pixels: the image.
        out: array to write to.
    """
    planes = np.divide(pixels.transpose(2, 0, 1), np.float32(127.5), out=out, order="C")
    planes -= np.float32(1)
    return planes


def reshape_video(
    frames: Iterable[NDArray[np.uint8]],
    bucket: Bucket,
    mode: str = "bicubic",
    corner: tuple[float, float] = CENTER,
) -> NDArray[np.float32]:
    """Scale and crop the frames of a video alike, one at a time.

    Args:
        frames: `bucket.frames` arrays (H, W, 3) uint8.
        bucket: the size.
        mode: one of RESHAPE_MODES.
        corner: see `place`.

    Returns:
        (bucket.frames, 3, bucket.height, bucket.width) float32 in [-1, 1].

    Raises:
        ConfigurationError: there are fewer or more frames.
    """
    video = np.empty((bucket.frames, 3, bucket.height, bucket.width), np.float32)
    count = 0
    for frame in frames:
        if count < bucket.frames:
            normalize(reshape(frame, bucket, mode, corner), out=video[count])
        count += 1
    if count != bucket.frames:
        raise ConfigurationError(
            f"frames: expected {bucket.frames}, as the bucket {bucket} has, got {count}"
        )
    return video


def _cover(height: int, width: int, bucket: Bucket) -> tuple[int, int]:
    """Return the least size of this aspect ratio, rounded up, that covers the bucket."""
    if bucket.height * width >= bucket.width * height:
        return bucket.height, -(-width * bucket.height // height)
    return -(-height * bucket.width // width), bucket.width
