"""One picture and its label map -> one training sample of a fixed size: flipped, rotated, scaled, moved and cut in a single step, then normalised.

The picture is interpolated, the label map never: every label of the result is one of the label map, or `ignore` where the picture has no pixels. What is
random comes from the generator that is handed in, so a sample depends on its seed alone. Without randomness the middle is cut, or padded.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError

#: (height, width, 3) or (height, width), 8 bits.
Pixels = NDArray[np.uint8]
#: 2 x 3, source pixel (x, y, 1) -> target pixel (x, y).
Matrix = NDArray[np.float64]

#: "image": by mean and deviation of all its pixels; "channels": the same for every channel; "dataset": by the given ones; "none": only scaled
NORMALIZATIONS = ("image", "channels", "dataset", "none")
DTYPES = ("float32", "float64", "float16", "uint8")
_DIRECT = ("float32", "float64", "uint8")  # that OpenCV looks up
_LEVELS = np.arange(256, dtype=np.float64)


class _Chance(NamedTuple):
    """Numbers from [0, 1), one for everything that may be random."""

    flip_x: float
    flip_y: float
    scale: float
    angle: float
    center_x: float
    center_y: float
    move_x: float
    move_y: float
    cut_x: float
    cut_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentOptions:
    """How a sample is made.

    Raises:
        ConfigurationError: a value that can not work.
    """

    height: int | None = 640  # px of the result; None with width None: as the picture is, not moved
    width: int | None = 640
    random: bool = True  # False: the middle of the picture, the same every time
    flip_x: bool = True  # left and right change places in half of the samples
    flip_y: bool = False
    rotate: float = 3.0  # degrees, at most, to either side
    scale_min: float = 0.75
    scale_max: float = 1.25
    offset: float = (
        0.1  # of the size, at most: how far the center of rotation and scaling lies from the middle
    )
    translate: float = 0.0  # of the size, at most: how far the picture moves
    normalize: str = "image"  # one of NORMALIZATIONS
    level: float = 1.0  # what pixels (0 to 255) are multiplied by first
    mean: tuple[float, ...] = (
        0.0,
    )  # "dataset": of `level` times the pixels, one or one per channel
    stdev: tuple[float, ...] = (1.0,)
    noise: float = 0.0  # deviation, at most, of what is added to the normalised picture
    dtype: str = "float32"  # one of DTYPES
    border_value: float = (
        0.0  # of the normalised picture where there is none, to the nearest of the 256 levels
    )
    ignore: int = 255  # label where the picture has no pixels

    def __post_init__(self) -> None:
        if [self.height, self.width] != [None, None] and not all(
            isinstance(side, int) and side >= 1 for side in (self.height, self.width)
        ):
            raise ConfigurationError(
                f"height, width: expected at least 1 px each, or None for both, came {self.height!r}, {self.width!r}"
            )
        for name, known in (("normalize", NORMALIZATIONS), ("dtype", DTYPES)):
            if getattr(self, name) not in known:
                raise ConfigurationError(
                    f"{name}: expected one of {', '.join(known)}, came {getattr(self, name)!r}"
                )
        if not 0 < self.scale_min <= self.scale_max:
            raise ConfigurationError(
                f"scale_min, scale_max: expected 0 < scale_min <= scale_max, came {self.scale_min}, {self.scale_max}"
            )
        for name in ("rotate", "offset", "translate", "noise"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(
                    f"{name}: expected 0 or more, came {getattr(self, name)!r}"
                )
        if self.level <= 0 or min(self.stdev, default=0) <= 0 or len(self.mean) != len(self.stdev):
            raise ConfigurationError(
                "level and every stdev must be above 0, and there must be as many means as deviations"
            )
        if self.dtype == "uint8" and (self.normalize != "none" or self.level != 1 or self.noise):
            raise ConfigurationError(
                "dtype 'uint8' holds pixels as they are: choose normalize='none', level=1, noise=0, or 'float32'"
            )


class Cut(NamedTuple):
    """A sample before it is normalised."""

    pixels: Pixels  # (height, width, C) or (height, width)
    label: NDArray[Any] | None  # (height, width), of the dtype that came
    mean: NDArray[
        np.float64
    ]  # () or (C,), of `level` times the pixels of the whole picture; 0 when nothing is normalised
    stdev: NDArray[np.float64]  # likewise; 1


class Augmented(NamedTuple):
    """A sample. `image * stdev + mean` is `level` times the pixels."""

    image: NDArray[Any]  # (C, height, width), contiguous
    label: NDArray[Any] | None
    mean: NDArray[np.float64]
    stdev: NDArray[np.float64]


def augment(
    image: Pixels, label: NDArray[Any] | None, options: AugmentOptions, rng: np.random.Generator
) -> Augmented:
    """Make a sample of a picture and its label map: `cut`, `normalize`, and noise.

    Raises:
        ValueError: the label map has another size than the picture.
    """
    made = cut(image, label, options, rng)
    result = normalize(made.pixels, made.mean, made.stdev, options)
    if options.random and options.noise:
        result += rng.standard_normal(result.shape, np.float32) * np.float32(
            options.noise * rng.random()
        )
    return Augmented(result, made.label, made.mean, made.stdev)


def cut(
    image: Pixels, label: NDArray[Any] | None, options: AugmentOptions, rng: np.random.Generator
) -> Cut:
    """Flip, rotate, scale, move and cut a picture and its label map, which keep lying on each other.

    Args:
        image: (H, W, C) or (H, W).
        label: (H, W), an integer type of OpenCV; None: there is none.
        options: what is wanted.
        rng: where chance comes from; the same number of values is taken whatever happens.

    Raises:
        ValueError: the label map has another size than the picture.
    """
    if label is not None and label.shape != image.shape[:2]:
        raise ValueError(
            f"label map of {label.shape[1]} x {label.shape[0]} px for a picture of {image.shape[1]} x {image.shape[0]} px"
        )
    chance = _Chance(*rng.random(len(_Chance._fields)).tolist())
    mean, stdev = _moments(image, options)
    if options.height is not None and options.width is not None:
        size = (options.width, options.height)
        matrix = _placement(image.shape[1], image.shape[0], options, chance)
        image = cv2.warpAffine(
            image,
            matrix,
            size,
            flags=cv2.INTER_LINEAR,
            borderValue=_border(image, mean, stdev, options),
        )
        if label is not None:
            label = cv2.warpAffine(
                label, matrix, size, flags=cv2.INTER_NEAREST, borderValue=options.ignore
            )
    return Cut(image, label, mean, stdev)


def normalize(
    pixels: Pixels,
    mean: NDArray[np.float64],
    stdev: NDArray[np.float64],
    options: AugmentOptions,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return (C, H, W) by looking every pixel up: there are but 256, so the result is that of float64, at the cost of a copy.

    `out` is where to put it, of the dtype of `options`.
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
    """Scale a picture up or down, keeping its shape, so that it just fits."""
    factor = min(width / image.shape[1], height / image.shape[0])
    size = max(1, int(image.shape[1] * factor + 1e-6)), max(1, int(image.shape[0] * factor + 1e-6))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)  # type: ignore[no-any-return]


# --- where pixels go ---


def _placement(width: int, height: int, options: AugmentOptions, chance: _Chance) -> Matrix:
    """Pad around the middle to the size of the result; flip, rotate, scale, move; cut to the size of the result: all as one matrix."""
    target_width, target_height = options.width or width, options.height or height
    padded_width, padded_height = max(width, target_width), max(height, target_height)
    matrix = _shift((padded_width - width + 1) // 2, (padded_height - height + 1) // 2)
    spare_x, spare_y = padded_width - target_width, padded_height - target_height
    if not options.random:
        return (_shift(-(spare_x // 2), -(spare_y // 2)) @ matrix)[:2]
    matrix = _turn(padded_width, padded_height, options, chance) @ matrix
    if options.flip_x and chance.flip_x < 0.5:
        matrix = _mirror(0, padded_width) @ matrix
    if options.flip_y and chance.flip_y < 0.5:
        matrix = _mirror(1, padded_height) @ matrix
    return (
        _shift(-int(chance.cut_x * (spare_x + 1)), -int(chance.cut_y * (spare_y + 1))) @ matrix
    )[:2]


def _turn(width: int, height: int, options: AugmentOptions, chance: _Chance) -> Matrix:
    """Rotate and scale about a point near the middle, then move."""
    center = (
        width * (0.5 + _either_side(chance.center_x, options.offset)),
        height * (0.5 + _either_side(chance.center_y, options.offset)),
    )
    scale = options.scale_min + chance.scale * (options.scale_max - options.scale_min)
    turn = np.eye(3)
    turn[:2] = cv2.getRotationMatrix2D(center, _either_side(chance.angle, options.rotate), scale)
    return (
        _shift(
            width * _either_side(chance.move_x, options.translate),
            height * _either_side(chance.move_y, options.translate),
        )
        @ turn
    )


def _either_side(number: float, limit: float) -> float:
    return (2 * number - 1) * limit


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _mirror(axis: int, length: int) -> Matrix:
    matrix = np.eye(3)
    matrix[axis, axis], matrix[axis, 2] = -1, length - 1
    return matrix


# --- what pixels become ---


def _moments(
    image: Pixels, options: AugmentOptions
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is subtracted and what is divided by; an even picture is divided by 1."""
    if options.normalize == "none":
        return np.zeros(()), np.ones(())
    if options.normalize == "dataset":
        return _per_channel(options.mean), _per_channel(options.stdev)
    means, stdevs = (moment[:, 0] * options.level for moment in cv2.meanStdDev(image))
    if options.normalize == "image":
        mean = means.mean()
        means, stdevs = mean, np.sqrt((stdevs**2 + means**2).mean() - mean**2)
    return np.asarray(means), np.where(stdevs > 0, stdevs, 1.0)


def _per_channel(values: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(values if len(values) > 1 else values[0], np.float64)


def _border(
    image: Pixels, mean: NDArray[np.float64], stdev: NDArray[np.float64], options: AugmentOptions
) -> tuple[float, ...]:
    """Return the pixel that becomes the border's value, for every channel."""
    value = np.clip(np.rint((options.border_value * stdev + mean) / options.level), 0, 255)
    channels = 1 if image.ndim == 2 else image.shape[2]
    return tuple(np.broadcast_to(value, channels).tolist())
