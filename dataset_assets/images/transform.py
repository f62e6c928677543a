"""One image from fetched bytes to stored bytes: the order of the steps.

header -> limits -> decode -> scale -> blur -> square -> encode. A problem with an image becomes a
`Media` with a cause; only a wrong configuration raises. A worker process calls `warm_up` before its
first image; importing changes nothing, so a program that uses the library keeps its own settings.
"""

import os
import sys
from collections.abc import Sequence

import cv2

from dataset_assets.errors import ConfigurationError
from dataset_assets.images.blur import Box, blur_boxes, check_boxes
from dataset_assets.images.codec import decode, encode
from dataset_assets.images.exif import load_exifread, read_exif
from dataset_assets.images.header import (
    DECODE_MESSAGE,
    ImageHeader,
    count_trailing_bytes,
    read_header,
)
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.images.resize import (
    TargetSize,
    choose_reduction,
    compute_target,
    load_area_kernel,
    make_square,
    scale,
)
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Media

#: encode_format -> name of the format in headers
_STORED_FORMATS = {"jpg": "jpeg", "png": "png", "webp": "webp"}


class ImageTransform:
    """Makes stored images from fetched ones. Thread-safe, picklable, without further state."""

    def __init__(self, options: ImageOptions) -> None:
        self.options = options

    def run(self, body: bytes, *, bboxes: Sequence[Sequence[float]] | None = None) -> Media:
        """Transform one image.

        Args:
            body: the file as fetched.
            bboxes: boxes to blur, each [left, top, right, bottom] as shares of width and height.

        Returns:
            The stored image, or the cause of its absence.

        Raises:
            MissingDependency: the area kernel in the options is not installed.
        """
        try:
            if not body:
                raise RefusedImage(Cause.EMPTY_BODY, "empty body")
            boxes = check_boxes(bboxes) if bboxes is not None else []
            if self.options.disable_all_reencoding:
                return self._keep(body, boxes)
            return self._transform(body, boxes)
        except RefusedImage as refusal:
            return Media(cause=refusal.cause, message=str(refusal))
        except ConfigurationError:
            raise
        except Exception:  # noqa: BLE001 - one image must not end the work on the others
            return Media(cause=Cause.DECODE_ERROR, message=DECODE_MESSAGE)

    def _keep(self, body: bytes, boxes: Sequence[Box]) -> Media:
        if boxes:
            raise RefusedImage(
                Cause.INVALID_BBOX, "bounding boxes cannot be blurred without reencoding"
            )
        return Media(payload=body, extension=self.options.encode_format, exif=self._exif(body))

    def _transform(self, body: bytes, boxes: Sequence[Box]) -> Media:
        options = self.options
        header = read_header(body)
        _check_limits(header, options)
        target = compute_target(header.width, header.height, options)
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
            trailing_bytes=count_trailing_bytes(body, header.format),
        )

    def _exif(self, body: bytes) -> str | None:
        return read_exif(body) if self.options.extract_exif else None


def _check_limits(header: ImageHeader, options: ImageOptions) -> None:
    """Refuse by format and size, with the messages of img2dataset."""
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


def _reduction(header: ImageHeader, target: TargetSize | None, options: ImageOptions) -> int:
    """Return how many times smaller to decode; refuse what would grow beyond `max_pixels`.

    A line of one pixel grows so much if its shorter side is scaled.
    """
    if target is None:
        return 1
    if target.width * target.height > options.max_pixels:
        raise RefusedImage(Cause.TOO_MANY_PIXELS, "too many pixels after resizing")
    allowed = options.scaled_decode and header.format == "jpeg"
    return choose_reduction(header.width, header.height, target) if allowed else 1


def warm_up(options: ImageOptions) -> None:
    """Load what the first image needs, and make OpenCV single-threaded and silent.

    Call it in the process that workers are forked from, so that they share what is loaded.

    Raises:
        MissingDependency: the area kernel in the options is not installed.
    """
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    if options.needs_area_kernel:
        load_area_kernel(options.area_kernel)
    if options.extract_exif:
        load_exifread()


def silence_codecs() -> None:
    """Discard what libjpeg, libpng and libtiff write to file descriptor 2.

    `sys.stderr` keeps its target. Call it once and in worker processes only, since it changes the
    descriptor for the whole process.
    """
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
