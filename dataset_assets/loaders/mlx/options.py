"""What a stream of batches is told."""

from dataclasses import dataclass

from dataset_assets.errors import ConfigurationError

#: What a stream of mlx-data can hold; float16 and bfloat16 are not among them.
DTYPES = ("uint8", "int32", "int64", "float32", "float64")
MODES = ("auto", "L", "RGB")
_LOWEST = {"batch_size": 1, "prefetch": 1, "threads": 1, "seed": 0, "epoch": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How samples become batches.

    Raises:
        ConfigurationError: a value that can not work.
    """

    batch_size: int = 32
    seed: int = 0  # of the order, with the epoch
    epoch: int = 0  # the one to start with
    dtype: str = "float32"  # of the images: one of DTYPES
    scale: float | None = (
        None  # what pixels are multiplied by; None: 1/255 for floats, 1 for integers
    )
    image_key: str = "image"  # column of the images
    label_key: str | None = (
        "label"  # column of the labels; None: no labels; "label" may be missing, another name may not
    )
    mode: str = "auto"  # "L" is (H, W), "RGB" is (H, W, 3), "auto" what the first image is
    image_size: int | None = (
        None  # px: shorter side scaled to it, then cut square from the middle; None: as they are, padded with 0 in a batch
    )
    prefetch: int = 8  # batches made ahead
    threads: int = 4  # that read and decode

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < lowest:
                raise ConfigurationError(
                    f"{name}: expected a whole number from {lowest}, came {value!r}"
                )
        if self.mode not in MODES:
            raise ConfigurationError(
                f"mode: expected one of {', '.join(MODES)}, came {self.mode!r}"
            )
        if self.dtype not in DTYPES:
            raise ConfigurationError(
                f"dtype: expected one of {', '.join(DTYPES)}, came {self.dtype!r}; streams of mlx-data hold no others: convert the batch in MLX"
            )
        if self.scale is not None and (self.scale == 0 or (not self.is_float and self.scale != 1)):
            raise ConfigurationError(
                f"scale: expected a number other than 0, and 1 for {self.dtype}, came {self.scale!r}; choose dtype='float32' to scale"
            )
        if self.image_size is not None and self.image_size < 1:
            raise ConfigurationError(
                f"image_size: expected at least 1 px, came {self.image_size!r}"
            )

    @property
    def is_float(self) -> bool:
        """Whether batches hold floating point numbers."""
        return self.dtype.startswith("float")

    @property
    def divisor(self) -> float:
        """What pixels are divided by: x / 255 differs from x * (1 / 255) in the last bit."""
        if self.scale is None:
            return 255.0 if self.is_float else 1.0
        return 1 / self.scale
