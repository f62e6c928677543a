"""One image from fetched bytes to stored bytes. The order of the steps, and nothing else, lives here.

header -> limits -> decode -> scale -> blur -> square -> encode. Whatever is wrong with an image becomes a `Media` with a cause; only a wrong configuration is raised.
"""

from collections.abc import Sequence

from dataset_assets.errors import ConfigurationError
from dataset_assets.images.blur import Box, blur_boxes, check_boxes
from dataset_assets.images.decode import decode
from dataset_assets.images.encode import encode
from dataset_assets.images.exif import exif_json
from dataset_assets.images.header import DECODE_MESSAGE, Header, read_header, trailing_bytes
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.images.resize import Target, make_square, reduction_for, scale, target_of
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Media

#: encode_format -> name of the format in headers
_STORED_FORMATS = {"jpg": "jpeg", "png": "png", "webp": "webp"}


class ImageTransform:
    """Makes stored images out of fetched ones. Holds nothing but its options: share it between threads, pickle it, call it in any order."""

    def __init__(self, options: ImageOptions) -> None:
        self.options = options

    def __call__(self, body: bytes, *, bboxes: Sequence[Sequence[float]] | None = None) -> Media:
        """Transform one image.

        Args:
            body: the file as fetched.
            bboxes: boxes to blur, each [left, top, right, bottom] in shares of width and height.

        Returns:
            The stored image, or the cause why there is none.

        Raises:
            MissingDependency: the area kernel that the options name is not installed.
        """
        try:
            if not body:
                raise RefusedImage(Cause.EMPTY_BODY, "empty body")
            boxes = check_boxes(bboxes)
            return (
                self._keep(body, boxes)
                if self.options.disable_all_reencoding
                else self._transform(body, boxes)
            )
        except RefusedImage as refusal:
            return Media(cause=refusal.cause, message=str(refusal))
        except ConfigurationError:
            raise
        except Exception:  # noqa: BLE001 - one strange image must never end the work on thousands of others
            return Media(cause=Cause.DECODE_ERROR, message=DECODE_MESSAGE)

    def _keep(self, body: bytes, boxes: Sequence[Box]) -> Media:
        if boxes:
            raise RefusedImage(
                Cause.INVALID_BBOX, "bounding boxes can not be blurred without reencoding"
            )
        return Media(payload=body, extension=self.options.encode_format, exif=self._exif(body))

    def _transform(self, body: bytes, boxes: Sequence[Box]) -> Media:
        options = self.options
        header = read_header(body)
        _check_limits(header, options)
        target = target_of(header.width, header.height, options)
        decoded, flattened = decode(body, header, reduction=_reduction(header, target, options))
        image = decoded
        if target:
            image = scale(image, target, options)
        if boxes:
            image = blur_boxes(image, boxes)
        if target and target.square:
            image = make_square(image, target.square)
        keep = (
            options.skip_reencode
            and image is decoded
            and not flattened
            and header.format == _STORED_FORMATS[options.encode_format]
        )
        return Media(
            payload=body if keep else encode(image, options),
            extension=options.encode_format,
            width=image.shape[1],
            height=image.shape[0],
            original_width=header.width,
            original_height=header.height,
            exif=self._exif(body),
            trailing_bytes=trailing_bytes(body, header.format),
        )

    def _exif(self, body: bytes) -> str | None:
        return exif_json(body) if self.options.extract_exif else None


def _check_limits(header: Header, options: ImageOptions) -> None:
    """Refuse by format and size, in words that img2dataset uses too."""
    shorter, longer = sorted((header.width, header.height))
    if header.format not in options.formats:
        raise RefusedImage(Cause.UNSUPPORTED_FORMAT, f"image/{header.format}")
    if header.pixels > options.max_pixels:
        raise RefusedImage(Cause.TOO_MANY_PIXELS, "too many pixels")
    if shorter < options.min_image_size:
        raise RefusedImage(Cause.IMAGE_TOO_SMALL, "image too small")
    if header.pixels > options.max_image_area:
        raise RefusedImage(Cause.IMAGE_AREA_TOO_LARGE, "image area too large")
    if longer / shorter > options.max_aspect_ratio:
        raise RefusedImage(Cause.ASPECT_RATIO_TOO_LARGE, "aspect ratio too large")


def _reduction(header: Header, target: Target | None, options: ImageOptions) -> int:
    """Return how many times smaller to decode, and refuse what would grow beyond the limit (a line one pixel high, scaled to its shorter side)."""
    if target is None:
        return 1
    if target.width * target.height > options.max_pixels:
        raise RefusedImage(Cause.TOO_MANY_PIXELS, "too many pixels after resizing")
    allowed = options.scaled_decode and header.format == "jpeg"
    return reduction_for(header.width, header.height, target) if allowed else 1
