"""Encode pixels with OpenCV, in the settings of img2dataset.

JPEG has 4:2:0 chroma, PNG a compression level, and WebP is lossless above a quality of 100.
"""

import cv2

from dataset_assets.images.options import ImageOptions
from dataset_assets.images.pixels import Pixels, RefusedImage
from dataset_assets.records.causes import Cause

_PARAMETERS = {
    "jpg": cv2.IMWRITE_JPEG_QUALITY,
    "png": cv2.IMWRITE_PNG_COMPRESSION,
    "webp": cv2.IMWRITE_WEBP_QUALITY,
}


def encode(image: Pixels, options: ImageOptions) -> bytes:
    """Encode (height, width) gray or (height, width, 3) BGR pixels.

    Raises:
        RefusedImage: the format cannot hold the image; WebP has at most 16383 pixels a side.
    """
    try:
        done, data = cv2.imencode(
            f".{options.encode_format}",
            image,
            [_PARAMETERS[options.encode_format], options.encode_quality],
        )
    except cv2.error as exc:
        raise RefusedImage(Cause.ENCODE_ERROR, "image encoding error") from exc
    if not done:
        raise RefusedImage(Cause.ENCODE_ERROR, "image encoding error")
    return bytes(data)
