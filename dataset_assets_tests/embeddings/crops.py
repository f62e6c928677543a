"""Encoded crops of the photographs that scikit-image and scikit-learn ship."""

import cv2
import numpy as np

from dataset_assets.demo.crops import encode
from dataset_assets.demo.photos import PHOTOS, Crop

#: Photographs with one subject each, and the corner of a window on it.
SUBJECTS = {
    "astronaut": (60, 0),
    "chelsea": (60, 0),
    "china": (200, 60),
    "coffee": (120, 20),
    "flower": (220, 60),
    "hubble": (300, 200),
    "rocket": (170, 20),
}


def crops_of(photo, count=4, side=260, extension="jpg"):
    """Return crops of a photograph that overlap for the most part."""
    x, y = SUBJECTS[photo]
    width, height = PHOTOS[photo].width, PHOTOS[photo].height
    return [
        encode(
            Crop(
                photo,
                min(x + 12 * number, width - side),
                min(y + 9 * number, height - side),
                side,
                side,
                extension,
            )
        )
        for number in range(count)
    ]


def reencoded(body, quality):
    """Return an image as a JPEG of another quality."""
    pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def resized(body, factor):
    """Return an image as a JPEG of another size."""
    pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    smaller = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", smaller)[1].tobytes()
