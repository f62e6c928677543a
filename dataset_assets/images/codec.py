"""Decode and encode images.

Decoding gives the first frame in 8 bits, alpha composed on white, EXIF rotation not applied. OpenCV
5 decodes, since it refuses truncated JPEG, PNG and WebP files that 4.x returns half gray.
Pillow reads the few variants of some formats that OpenCV cannot, through its plug-in classes,
because `Image.open` would try formats that are not allowed. Encoding has the settings of
img2dataset: JPEG with 4:2:0 chroma, PNG with a compression level, WebP lossless above a quality of
100.
"""

import warnings
from importlib import import_module
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.images.header import DECODE_MESSAGE, ImageHeader, list_png_chunks
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.pixels import Pixels, RefusedImage
from dataset_assets.records.causes import Cause

#: Reduction of a JPEG -> flags for color and for gray. The decoder skips high frequencies.
_REDUCED = {
    2: (cv2.IMREAD_REDUCED_COLOR_2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
    4: (cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    8: (cv2.IMREAD_REDUCED_COLOR_8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
}
_PILLOW = {
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "jp2": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "ppm": ("PIL.PpmImagePlugin", "PpmImageFile"),
}
_PARAMETERS = {
    "jpg": cv2.IMWRITE_JPEG_QUALITY,
    "png": cv2.IMWRITE_PNG_COMPRESSION,
    "webp": cv2.IMWRITE_WEBP_QUALITY,
}


def decode(body: bytes, header: ImageHeader, *, reduction: int = 1) -> tuple[Pixels, bool]:
    """Return the pixels, and whether alpha was composed on white.

    Args:
        body: the file.
        header: the result of `read_header`.
        reduction: 1, or 2, 4 or 8 for a JPEG to decode that many times smaller, rounded up.

    Raises:
        RefusedImage: the file is truncated or damaged, its size differs from that in the header,
            or its pixels are not integers.
    """
    image = _opencv(_still(body) if header.is_animated else body, header, reduction)
    if image is not None:
        image = _full_range(image, header.max_value)
    elif header.format in _PILLOW:
        image = _pillow(body, header)
    expected = (-(-header.height // reduction), -(-header.width // reduction))
    if image is None or image.shape[:2] != expected:
        raise RefusedImage(Cause.DECODE_ERROR, DECODE_MESSAGE)
    return _flatten(_eight_bits(image))


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


def _still(body: bytes) -> bytes:
    """Return a PNG without its animation.

    OpenCV 5.0 reads all frames, and a damaged one ends the process.
    """
    chunks = [
        body[start:end]
        for kind, start, end in list_png_chunks(body)
        if kind not in (b"acTL", b"fcTL", b"fdAT")
    ]
    return body[:8] + b"".join(chunks)


def _opencv(body: bytes, header: ImageHeader, reduction: int) -> NDArray[Any] | None:
    flags = cv2.IMREAD_UNCHANGED
    if reduction > 1:
        flags = _REDUCED[reduction][header.channels == 1] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(body, np.uint8), flags)
    except cv2.error:
        return None
    return image


def _pillow(body: bytes, header: ImageHeader) -> NDArray[Any] | None:
    module, name = _PILLOW[header.format]
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            getattr(import_module(module), name)(BytesIO(body)) as image,
        ):
            if image.size != (header.width, header.height):
                return None
            if image.mode.startswith("I;16"):
                return np.array(image)
            if image.mode in ("1", "L"):
                return np.array(image.convert("L"))
            alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
            pixels = np.array(image.convert("RGBA" if alpha else "RGB"))
            return np.array(
                cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if alpha else cv2.COLOR_RGB2BGR)
            )
    except Exception:  # noqa: BLE001 - damaged files raise any exception in Pillow
        return None


def _full_range(image: NDArray[Any], max_value: int) -> NDArray[Any]:
    """Return pixels that use all of 8 or 16 bits. OpenCV leaves 10 bits in the lowest of 16."""
    if image.dtype not in (np.uint8, np.uint16) or max_value in (0, np.iinfo(image.dtype).max):
        return image
    return np.array(cv2.convertScaleAbs(image, alpha=255 / max_value))


def _eight_bits(image: NDArray[Any]) -> Pixels:
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255 / 65_535)
    if image.dtype != np.uint8:
        raise RefusedImage(Cause.UNSUPPORTED_FORMAT, f"{image.dtype} pixels")
    return image


def _flatten(image: Pixels) -> tuple[Pixels, bool]:
    """Compose alpha on white: round(alpha * color / 255) + 255 - alpha, exactly."""
    if image.ndim == 2 or image.shape[2] == 3:
        return image, False
    if image.shape[2] != 4:
        raise RefusedImage(Cause.UNSUPPORTED_FORMAT, f"{image.shape[2]} channels")
    alpha = cv2.cvtColor(image[..., 3], cv2.COLOR_GRAY2BGR)
    color = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    return cv2.add(cv2.multiply(color, alpha, scale=1 / 255), 255 - alpha), True
