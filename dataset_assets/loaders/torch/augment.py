"""Augmentation: one image and its label map -> one training sample of a fixed size.

Flipping, rotating, scaling, moving and cropping is one affine step. The image is interpolated, the
label map never: every label of the result occurs in the label map, or is `ignore` outside the
image. Randomness comes from the given generator only. Without randomness the center is cropped or
padded.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.loaders.torch.augment_options import AugmentOptions

#: (height, width, 3) or (height, width), 8 bits.
Pixels = NDArray[np.uint8]
#: Affine map: source pixel (x, y, 1) -> target pixel.
Matrix = NDArray[np.float64]

_DIRECT = ("float32", "float64", "uint8")  # that OpenCV looks up
_LEVELS = np.arange(256, dtype=np.float64)


class _RandomNumbers(NamedTuple):
    """Numbers from [0, 1), one for each random choice."""

    flip_x: float
    flip_y: float
    scale: float
    angle: float
    center_x: float
    center_y: float
    move_x: float
    move_y: float
    crop_x: float
    crop_y: float


class Warped(NamedTuple):
    """A sample that is not normalized."""

    pixels: Pixels
    """(height, width, C) or (height, width)."""
    label: NDArray[Any] | None
    """(height, width), of the dtype that was given."""
    mean: NDArray[np.float64]
    """() or (C,), of `level` times the pixels of the whole image; 0 if nothing is normalized."""
    stdev: NDArray[np.float64]
    """Like `mean`; 1 if nothing is normalized."""


class Augmented(NamedTuple):
    """A sample. `image * stdev + mean` is `level` times the pixels."""

    image: NDArray[Any]
    """(C, height, width), contiguous."""
    label: NDArray[Any] | None
    mean: NDArray[np.float64]
    stdev: NDArray[np.float64]


def augment(
    image: Pixels, label: NDArray[Any] | None, options: AugmentOptions, rng: np.random.Generator
) -> Augmented:
    """Make a sample of an image and its label map: `warp`, `normalize`, and noise.

    Raises:
        ValueError: the label map has another size than the image.
    """
    warped = warp(image, label, options, rng)
    result = normalize(warped.pixels, warped.mean, warped.stdev, options)
    if options.random and options.noise:
        noise = rng.standard_normal(result.shape, np.float32)
        result += noise * np.float32(options.noise * rng.random())
    return Augmented(result, warped.label, warped.mean, warped.stdev)


def warp(
    image: Pixels, label: NDArray[Any] | None, options: AugmentOptions, rng: np.random.Generator
) -> Warped:
    """Flip, rotate, scale, move and crop an image and its label map by the same matrix.

    Args:
        image: (H, W, C) or (H, W).
        label: (H, W), an integer type of OpenCV, or None.
        options: size of the result, and limits of the randomness.
        rng: source of randomness; always the same number of values is taken.

    Raises:
        ValueError: the label map has another size than the image.
    """
    if label is not None and label.shape != image.shape[:2]:
        raise ValueError(
            f"label map of {label.shape[1]} x {label.shape[0]} px for an image of "
            f"{image.shape[1]} x {image.shape[0]} px"
        )
    numbers = _RandomNumbers(*rng.random(len(_RandomNumbers._fields)).tolist())
    mean, stdev = _moments(image, options)
    if options.height is not None and options.width is not None:
        size = (options.width, options.height)
        matrix = _affine_matrix(image.shape[1], image.shape[0], options, numbers)
        border = _border_pixel(image, mean, stdev, options)
        image = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=border)
        if label is not None:
            label = cv2.warpAffine(
                label, matrix, size, flags=cv2.INTER_NEAREST, borderValue=options.ignore
            )
    return Warped(image, label, mean, stdev)


def normalize(
    pixels: Pixels,
    mean: NDArray[np.float64],
    stdev: NDArray[np.float64],
    options: AugmentOptions,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return normalized pixels (C, H, W).

    There are only 256 values, so each pixel is looked up: the precision of float64 at the cost of
    a copy.

    Args:
        pixels: (H, W, C) or (H, W).
        mean: () or (C,), in units of `level` times the pixels.
        stdev: like `mean`.
        options: level and dtype.
        out: array for the result, of the dtype of `options`. None: a new one.
    """
    planes = [pixels] if pixels.ndim == 2 else cv2.split(pixels)
    values = (_LEVELS * options.level - mean[..., None]) / stdev[..., None]
    tables = np.broadcast_to(values, (len(planes), 256)).astype(options.dtype)
    result = np.empty((len(planes), *pixels.shape[:2]), options.dtype) if out is None else out
    for plane, table, target in zip(planes, tables, result, strict=True):
        if options.dtype in _DIRECT:
            cv2.LUT(plane, table, dst=target)
        else:
            target[...] = table[plane]
    return result


def fit_into(image: Pixels, width: int, height: int) -> Pixels:
    """Scale an image up or down, keeping its aspect ratio, to the largest size that fits."""
    factor = min(width / image.shape[1], height / image.shape[0])
    size = [max(1, int(side * factor + 1e-6)) for side in (image.shape[1], image.shape[0])]
    kernel = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=kernel)  # type: ignore[no-any-return]


# --- geometry ---


def _affine_matrix(
    width: int, height: int, options: AugmentOptions, numbers: _RandomNumbers
) -> Matrix:
    """Return one matrix (2, 3) for all steps.

    Pad around the middle to the size of the result; rotate, scale, move, flip; crop to the size of
    the result.
    """
    target_width = options.width or width
    target_height = options.height or height
    padded_width = max(width, target_width)
    padded_height = max(height, target_height)
    matrix = _shift((padded_width - width + 1) // 2, (padded_height - height + 1) // 2)
    spare_x = padded_width - target_width
    spare_y = padded_height - target_height
    if not options.random:
        return (_shift(-(spare_x // 2), -(spare_y // 2)) @ matrix)[:2]
    matrix = _random_motion(padded_width, padded_height, options, numbers) @ matrix
    if options.flip_x and numbers.flip_x < 0.5:
        matrix = _mirror(0, padded_width) @ matrix
    if options.flip_y and numbers.flip_y < 0.5:
        matrix = _mirror(1, padded_height) @ matrix
    crop_x = int(numbers.crop_x * (spare_x + 1))
    crop_y = int(numbers.crop_y * (spare_y + 1))
    return (_shift(-crop_x, -crop_y) @ matrix)[:2]


def _random_motion(
    width: int, height: int, options: AugmentOptions, numbers: _RandomNumbers
) -> Matrix:
    """Rotate and scale about a point near the middle, then move."""
    center = (
        width * (0.5 + _either_side(numbers.center_x, options.offset)),
        height * (0.5 + _either_side(numbers.center_y, options.offset)),
    )
    scale = options.scale_min + numbers.scale * (options.scale_max - options.scale_min)
    angle = _either_side(numbers.angle, options.rotate)
    rotation = np.eye(3)
    rotation[:2] = cv2.getRotationMatrix2D(center, angle, scale)
    move_x = width * _either_side(numbers.move_x, options.translate)
    move_y = height * _either_side(numbers.move_y, options.translate)
    return _shift(move_x, move_y) @ rotation


def _either_side(number: float, limit: float) -> float:
    return (2 * number - 1) * limit


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _mirror(axis: int, length: int) -> Matrix:
    matrix = np.eye(3)
    matrix[axis, axis] = -1
    matrix[axis, 2] = length - 1
    return matrix


# --- values ---


def _moments(
    image: Pixels, options: AugmentOptions
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation for normalization; an even image has the deviation 1."""
    if options.normalize == "none":
        return np.zeros(()), np.ones(())
    if options.normalize == "dataset":
        return _per_channel(options.mean), _per_channel(options.stdev)
    means, stdevs = (moment[:, 0] * options.level for moment in cv2.meanStdDev(image))
    if options.normalize == "image":
        mean = means.mean()
        stdevs = np.sqrt((stdevs**2 + means**2).mean() - mean**2)
        means = mean
    return np.asarray(means), np.where(stdevs > 0, stdevs, 1.0)


def _per_channel(values: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(values if len(values) > 1 else values[0], np.float64)


def _border_pixel(
    image: Pixels, mean: NDArray[np.float64], stdev: NDArray[np.float64], options: AugmentOptions
) -> tuple[float, ...]:
    """Return the pixel that normalization turns into the border's value, for every channel."""
    value = np.clip(np.rint((options.border_value * stdev + mean) / options.level), 0, 255)
    channels = 1 if image.ndim == 2 else image.shape[2]
    return tuple(np.broadcast_to(value, channels).tolist())
