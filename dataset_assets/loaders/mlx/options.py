"""Options of a stream of batches."""

from dataclasses import dataclass

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError

#: What a stream of mlx-data can hold; float16 and bfloat16 are not among them.
DTYPES = ("uint8", "int32", "int64", "float32", "float64")
MODES = ("auto", "L", "RGB")
_LOWEST = {"batch_size": 1, "prefetch": 1, "threads": 1, "seed": 0, "epoch": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """Options of `hf_dataset_to_mlx_stream` and `shards_to_mlx_stream`, validated on construction.

    Raises:
        ConfigurationError: a value is invalid, or two values contradict each other.

    Example:
        >>> StreamOptions(batch_size=64, dtype="uint8").is_float
        False
    """

    batch_size: int = 32
    """Samples in a batch."""
    seed: int = 0
    """Seed of the order, combined with the epoch."""
    epoch: int = 0
    """The first epoch."""
    dtype: str = "float32"
    """Type of the images: uint8, int32, int64, float32 or float64."""
    scale: float | None = None
    """Factor for pixels. None: 1/255 for floats, 1 for integers."""
    image_key: str = "image"
    """Column of the images."""
    label_key: str | None = "label"
    """Column of the labels. None: no labels. Only "label" may be missing in the dataset."""
    mode: str = "auto"
    """Kind of images: "L" is (H, W), "RGB" is (H, W, 3), "auto" that of the first image."""
    image_size: int | None = None
    """Side, px: the shorter side is scaled to it, then the center is cropped to a square. None:
    images keep their size, and are padded with 0 to that of their batch."""
    prefetch: int = 8
    """Batches that are made ahead."""
    threads: int = 4
    """Threads that read and decode."""

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            checks.integer(name, getattr(self, name), lowest)
        checks.one_of("mode", self.mode, MODES)
        if self.dtype not in DTYPES:
            raise ConfigurationError(
                f"dtype: expected one of {', '.join(DTYPES)}, got {self.dtype!r}; streams of "
                "mlx-data hold no others: convert the batch in MLX"
            )
        if self.scale is not None and (self.scale == 0 or (not self.is_float and self.scale != 1)):
            raise ConfigurationError(
                f"scale: expected a number other than 0, and 1 for {self.dtype}, "
                f"got {self.scale!r}; choose dtype='float32' to scale"
            )
        if self.image_size is not None:
            checks.integer("image_size", self.image_size, 1)

    @property
    def is_float(self) -> bool:
        """Whether images are floating point numbers."""
        return self.dtype.startswith("float")

    @property
    def divisor(self) -> float:
        """Divisor for pixels: x / 255 differs from x * (1 / 255) in the last bit."""
        if self.scale is None:
            return 255.0 if self.is_float else 1.0
        return 1 / self.scale
