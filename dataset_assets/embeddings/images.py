"""Pixels for encoders: decoded, RGB, resized and cropped in the way that a model was trained with.

Preprocessing is ours, so that values do not depend on which image library is installed. The EXIF
orientation is not applied, as in the loaders of shards; training sets apply it. OpenCV and Pillow
are loaded by the first image: options of encoders are read in processes that never decode one.
"""

import numpy as np
from numpy.typing import NDArray

from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

#: (H, W, 3) uint8, RGB.
RgbPixels = NDArray[np.uint8]


def decode_rgb(payload: bytes | None, least_px: int | None = None) -> RgbPixels:
    """Decode an image.

    Args:
        payload: the file; None: the sample has none.
        least_px: a JPEG may be decoded smaller, as long as both sides keep at least twice this.

    Returns:
        (H, W, 3) uint8.

    Raises:
        SampleError: it is missing, or cannot be decoded.
    """
    import cv2

    from dataset_assets.images.codec import decode
    from dataset_assets.images.header import read_header
    from dataset_assets.images.resize import TargetSize, choose_reduction

    if not payload:
        raise SampleError(Cause.EMPTY_BODY, "expected an image, got a sample without one")
    try:
        header = read_header(payload)
        reduction = 1
        if least_px is not None and header.format == "jpeg":
            target = TargetSize(least_px, least_px, shrinks=True)
            reduction = choose_reduction(header.width, header.height, target)
        pixels, _ = decode(payload, header, reduction=reduction)
    except RefusedImage as exc:
        raise SampleError(exc.cause, str(exc)) from exc
    code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    rgb: RgbPixels = cv2.cvtColor(pixels, code)
    return rgb


def resize(pixels: RgbPixels, height: int, width: int, interpolation: str = "bicubic") -> RgbPixels:
    """Resize to a size in px, with antialiasing.

    Args:
        pixels: (H, W, 3) uint8.
        height: px.
        width: px.
        interpolation: nearest, box, bilinear, hamming, bicubic or lanczos, each as in Pillow.
    """
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    kernel = Image.Resampling[interpolation.upper()]
    return np.asarray(Image.fromarray(pixels).resize((width, height), kernel))


def crop_center(pixels: RgbPixels, height: int, width: int) -> RgbPixels:
    """Cut out the middle; the image has at least this size."""
    top = (pixels.shape[0] - height) // 2
    left = (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
