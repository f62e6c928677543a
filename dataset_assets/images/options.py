"""Options of the transform of images: those of img2dataset, and a few more.

Imports no OpenCV, since definitions load this module.
Reference: https://github.com/rom1504/img2dataset#api
"""

from dataclasses import dataclass

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError

#: Formats that are decoded. PPM includes PGM and PBM; RAS is Sun raster.
FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "jp2", "ppm", "ras")
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
_SWITCHES = (
    "resize_only_if_bigger",
    "skip_reencode",
    "disable_all_reencoding",
    "extract_exif",
    "scaled_decode",
)
#: encode_format -> lowest and highest encode_quality
QUALITIES = {"jpg": (0, 100), "png": (0, 9), "webp": (1, 1000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """Size, encoding and limits of images.

    Raises:
        ConfigurationError: a value is not valid.
    """

    image_size: int = 256
    """Side of the stored image, in pixels; `resize_mode` says which side."""
    resize_mode: str = "border"
    """How to get to `image_size`: no (keep the size), keep_ratio (the shorter side), center_crop
    (the shorter side, then the central square), keep_ratio_largest (the longer side) or border
    (the longer side, then white up to a square)."""
    resize_only_if_bigger: bool = False
    """Do not enlarge images."""
    upscale_interpolation: str = "lanczos"
    """Filter for images that grow."""
    downscale_interpolation: str = "area"
    """Filter for images that shrink."""
    encode_quality: int = 95
    """Quality of jpg (0 to 100) and webp (1 to 100, above 100: lossless); compression level of png
    (0 to 9)."""
    encode_format: str = "jpg"
    """Format of stored images: jpg, png or webp."""
    skip_reencode: bool = False
    """Keep the bytes of images that already have the size and the format."""
    disable_all_reencoding: bool = False
    """Keep the bytes of all images, whatever they are."""
    min_image_size: float = 0
    """Refuse images with a shorter side than this, in pixels."""
    max_image_area: float = float("inf")
    """Refuse images with more pixels than this."""
    max_aspect_ratio: float = float("inf")
    """Refuse images with a higher ratio of the longer to the shorter side."""
    extract_exif: bool = True
    """Store the EXIF tags."""
    max_pixels: int = 64_000_000
    """Refuse images with more pixels than this before they are decoded."""
    scaled_decode: bool = False
    """Let the JPEG decoder shrink to at least twice the size: faster, 40 to 46 dB from exact."""
    formats: tuple[str, ...] = FORMATS
    """Formats of originals to accept, detected from the content. Default: all that are decoded."""
    area_kernel: str = "auto"
    """Implementation of the area filter: numba, opencv, or auto for numba where it is installed."""

    def __post_init__(self) -> None:
        checks.one_of("resize_mode", self.resize_mode, RESIZE_MODES)
        checks.one_of("upscale_interpolation", self.upscale_interpolation, INTERPOLATIONS)
        checks.one_of("downscale_interpolation", self.downscale_interpolation, INTERPOLATIONS)
        checks.one_of("encode_format", self.encode_format, QUALITIES)
        checks.one_of("area_kernel", self.area_kernel, AREA_KERNELS)
        if not isinstance(self.formats, tuple) or not self.formats:
            expected = ", ".join(FORMATS)
            raise ConfigurationError(
                f"formats: expected a tuple of names out of {expected}, got {self.formats!r}"
            )
        for name in self.formats:
            checks.one_of("formats", name, FORMATS)
        for name in _SWITCHES:
            checks.boolean(name, getattr(self, name))
        checks.integer("image_size", self.image_size, 1, 65_535)
        checks.integer("max_pixels", self.max_pixels, 1, 2**40)
        quality_of_format = f"encode_quality for {self.encode_format}"
        checks.integer(quality_of_format, self.encode_quality, *QUALITIES[self.encode_format])
        checks.number("min_image_size", self.min_image_size, 0)
        checks.number("max_image_area", self.max_image_area, 1)
        checks.number("max_aspect_ratio", self.max_aspect_ratio, 1)

    @property
    def needs_area_kernel(self) -> bool:
        """Whether the area filter may shrink an image."""
        return (
            self.downscale_interpolation == "area"
            and self.resize_mode != "no"
            and not self.disable_all_reencoding
        )
