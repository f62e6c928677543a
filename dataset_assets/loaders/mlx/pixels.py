"""Decoding images as `datasets` and Pillow do: first frame, EXIF rotation applied, 8 bits.

Palettes become colors, transparent pixels are composed on white, 16-bit gray is divided by 257.
Arrays are pixels already. `images.codec.decode` differs: it does not rotate, since label maps are
not rotated, and it has no Pillow images and arrays.
"""

from collections.abc import Mapping
from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: uint8, or what an array holds: (height, width) or (height, width, 3), RGB.
Pixels = NDArray[Any]

#: What Pillow may try. Not among them: formats that start other programs (EPS), and documents.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_GRAY = ("L", "1", "I", "F")
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


def to_pixels(value: Any, *, mode: str = "auto", size: int | None = None) -> Pixels:
    """Return the pixels of an image.

    Args:
        value: a file in memory, a Pillow image, an array, or a cell of an `Image` column.
        mode: "L", "RGB", or "auto": "L" for gray images.
        size: side, px, of the square to which it is scaled and cropped. None: its own size.

    Raises:
        Exception: whatever Pillow and its plug-ins raise for a damaged file.
    """
    if isinstance(value, np.ndarray):
        return _checked_array(value)
    image = _open(value)
    if size is not None:
        # a JPEG is decoded at a half, a quarter or an eighth of its size if that is enough
        image.draft(None, (2 * size, 2 * size))
    operations = import_module("PIL.ImageOps")
    operations.exif_transpose(image, in_place=True)
    image = _to_eight_bits(image, mode)
    if size is not None:
        image = operations.fit(image, (size, size), import_module("PIL.Image").Resampling.BICUBIC)
    return np.array(image)


def _open(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.get("bytes") is None:  # only a path, which `datasets` can open wherever it is
            return import_module("datasets").Image().decode_example(dict(value))
        value = value["bytes"]
    if isinstance(value, bytes | bytearray | memoryview):
        return import_module("PIL.Image").open(BytesIO(value), formats=_FORMATS)
    if not hasattr(value, "getexif"):
        raise TypeError(f"expected an image, got {type(value).__name__}")
    return value.copy()


def _checked_array(value: NDArray[Any]) -> Pixels:
    if value.ndim not in (2, 3) or value.dtype.kind not in "buif":
        raise ValueError(
            f"expected an array of shape (H, W) or (H, W, C), got {value.dtype} {value.shape}"
        )
    return value


def _to_eight_bits(image: Any, mode: str) -> Any:
    """Return an image of mode L or RGB."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65_535) // 257
        image = import_module("PIL.Image").fromarray(values.astype(np.uint8))
    elif image.mode in _ALPHA or "transparency" in image.info:
        front = image.convert("RGBA")
        image = import_module("PIL.Image").new("RGBA", front.size, "white")
        image.alpha_composite(front)
    if mode == "auto":
        mode = "L" if image.mode in _GRAY else "RGB"
    return image if image.mode == mode else image.convert(mode)
