"""Options of augmentation."""

from dataclasses import dataclass

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError

NORMALIZATIONS = ("image", "channels", "dataset", "none")
DTYPES = ("float32", "float64", "float16", "uint8")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentOptions:
    """How an image becomes a training sample of a fixed size, validated on construction.

    Raises:
        ConfigurationError: a value is invalid, or two values contradict each other.

    Example:
        >>> AugmentOptions(height=224, width=224, normalize="none", rotate=0).scale_max
        1.25
    """

    height: int | None = 640
    """Height of the result, px. None, with width None: images keep their size and are not moved."""
    width: int | None = 640
    """Width of the result, px."""
    random: bool = True
    """Whether anything is random. False: the center of the image, the same every time."""
    flip_x: bool = True
    """Mirror half of the samples horizontally."""
    flip_y: bool = False
    """Mirror half of the samples vertically."""
    rotate: float = 3.0
    """Largest rotation to either side, degrees."""
    scale_min: float = 0.75
    """Smallest scale."""
    scale_max: float = 1.25
    """Largest scale."""
    offset: float = 0.1
    """Largest distance of the center of rotation and scaling from the middle, as a share of the
    size."""
    translate: float = 0.0
    """Largest shift of the image, as a share of the size."""
    normalize: str = "image"
    """What pixels are normalized by: mean and deviation of all pixels of the "image", of its
    "channels", or of the "dataset" (`mean` and `stdev`); "none" only scales by `level`."""
    level: float = 1.0
    """Factor for pixels (0 to 255), applied first."""
    mean: tuple[float, ...] = (0.0,)
    """Mean of the dataset in units of `level` times the pixels: one, or one per channel."""
    stdev: tuple[float, ...] = (1.0,)
    """Deviation of the dataset, like `mean`."""
    noise: float = 0.0
    """Largest deviation of the noise that is added to the normalized image."""
    dtype: str = "float32"
    """Type of the result: float32, float64, float16 or uint8."""
    border_value: float = 0.0
    """Value of the normalized result outside the image, to the nearest of the 256 levels."""
    ignore: int = 255
    """Label outside the image."""

    def __post_init__(self) -> None:
        sides = (self.height, self.width)
        if sides != (None, None) and not all(isinstance(side, int) and side >= 1 for side in sides):
            raise ConfigurationError(
                "height, width: expected at least 1 px each, or None for both, "
                f"got {self.height!r}, {self.width!r}"
            )
        checks.one_of("normalize", self.normalize, NORMALIZATIONS)
        checks.one_of("dtype", self.dtype, DTYPES)
        if not 0 < self.scale_min <= self.scale_max:
            raise ConfigurationError(
                "scale_min, scale_max: expected 0 < scale_min <= scale_max, "
                f"got {self.scale_min}, {self.scale_max}"
            )
        for name in ("rotate", "offset", "translate", "noise"):
            checks.number(name, getattr(self, name), 0)
        checks.positive("level", self.level)
        for stdev in self.stdev:
            checks.positive("stdev", stdev)
        if not self.stdev or len(self.mean) != len(self.stdev):
            raise ConfigurationError(
                "mean, stdev: expected as many means as deviations, at least one, "
                f"got {len(self.mean)} and {len(self.stdev)}"
            )
        if self.dtype == "uint8" and (self.normalize != "none" or self.level != 1 or self.noise):
            raise ConfigurationError(
                "dtype: 'uint8' holds pixels as they are; choose normalize='none', level=1, "
                "noise=0, or 'float32'"
            )
