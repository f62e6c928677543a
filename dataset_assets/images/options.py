"""What is to be done with every image: img2dataset's options, with its names, defaults and meanings, and a few of our own.

Values are checked here, once, so that nothing below has to. Imports no OpenCV: definitions load this. Reference: https://github.com/rom1504/img2dataset#api
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dataset_assets.errors import ConfigurationError

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff")
RESIZE_MODES = ("no", "keep_ratio", "center_crop", "border", "keep_ratio_largest")
AREA_KERNELS = ("auto", "numba", "opencv")
INTERPOLATIONS = (
    "nearest",
    "linear",
    "bilinear",
    "cubic",
    "bicubic",
    "area",
    "lanczos",
    "lanczos4",
)
#: encode_format -> lowest and highest encode_quality. For png it is the compression level; webp is lossless above 100.
QUALITIES = {"jpg": (0, 100), "png": (0, 9), "webp": (1, 1000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """Size, encoding and limits of images.

    Raises:
        ConfigurationError: a value that can not work.
    """

    image_size: int = 256  # px
    resize_mode: str = "border"
    resize_only_if_bigger: bool = False
    upscale_interpolation: str = "lanczos"
    downscale_interpolation: str = "area"
    encode_quality: int = 95
    encode_format: str = "jpg"
    skip_reencode: bool = (
        False  # keep the bytes of images that need no change and have the format already
    )
    disable_all_reencoding: bool = False  # keep all bytes, whatever they are
    min_image_size: float = 0  # px, shorter side
    max_image_area: float = float("inf")  # px
    max_aspect_ratio: float = float("inf")  # longer side / shorter side
    extract_exif: bool = True
    max_pixels: int = 64_000_000  # refused before decoding
    scaled_decode: bool = False  # let the JPEG decoder shrink while at least twice the target remains: faster, 40 to 46 dB
    formats: tuple[str, ...] = FORMATS  # of originals, told by content
    area_kernel: str = "auto"  # "numba" where installed, else "opencv"

    def __post_init__(self) -> None:
        _one_of("resize_mode", self.resize_mode, RESIZE_MODES)
        _one_of("upscale_interpolation", self.upscale_interpolation, INTERPOLATIONS)
        _one_of("downscale_interpolation", self.downscale_interpolation, INTERPOLATIONS)
        _one_of("encode_format", self.encode_format, QUALITIES)
        _one_of("area_kernel", self.area_kernel, AREA_KERNELS)
        if not isinstance(self.formats, tuple) or not self.formats:
            raise ConfigurationError(
                f"formats: expected a tuple of names out of {', '.join(FORMATS)}, got {self.formats!r}"
            )
        for name in self.formats:
            _one_of("formats", name, FORMATS)
        _whole("image_size", self.image_size, 1, 65_535)
        _whole("max_pixels", self.max_pixels, 1, 2**40)
        _whole(
            f"encode_quality for {self.encode_format}",
            self.encode_quality,
            *QUALITIES[self.encode_format],
        )
        _at_least("min_image_size", self.min_image_size, 0)
        _at_least("max_image_area", self.max_image_area, 1)
        _at_least("max_aspect_ratio", self.max_aspect_ratio, 1)

    @property
    def needs_area_kernel(self) -> bool:
        """Whether an image may be shrunk by the area filter."""
        return (
            self.downscale_interpolation == "area"
            and self.resize_mode != "no"
            and not self.disable_all_reencoding
        )


def _one_of(name: str, value: Any, allowed: Collection[str]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise ConfigurationError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(
            f"{name}: expected a whole number from {low} to {high}, got {value!r}"
        )


def _at_least(name: str, value: Any, low: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= low:
        raise ConfigurationError(f"{name}: expected a number of at least {low}, got {value!r}")
