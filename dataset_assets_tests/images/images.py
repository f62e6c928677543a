"""Small images: photographs from the wheel of scikit-image, and files built by hand."""

import struct
import zlib
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


@cache
def _astronaut() -> Pixels:
    return cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)


def photo(width: int, height: int, channels: int = 3) -> Pixels:
    """A photograph at any size, (height, width[, 3]) BGR."""
    image = cv2.resize(_astronaut(), (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if channels == 1 else image


def noise(width: int, height: int, channels: int = 3) -> Pixels:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


def file(image: NDArray[Any], extension: str = "jpg", *parameters: int) -> bytes:
    """Encode with OpenCV."""
    return cv2.imencode(f".{extension}", image, parameters)[1].tobytes()


def pillow(image: Pixels, file_format: str, mode: str = "RGB", **options: Any) -> bytes:
    """Encode BGR or gray pixels with Pillow in one of its modes."""
    picture = Image.fromarray(image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1]))
    buffer = BytesIO()
    picture.convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def pixels(body: bytes) -> Pixels:
    """Decode a stored image."""
    return cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)


def psnr(first: Pixels, second: Pixels) -> float:
    """Peak signal to noise ratio in dB; 99 for equal images."""
    assert first.shape == second.shape
    error = float(((first.astype(float) - second) ** 2).mean())
    return 99.0 if error == 0 else min(99.0, 10 * float(np.log10(255**2 / error)))


def png(
    width: int,
    height: int,
    before: Iterable[tuple[bytes, bytes]] = (),
    after: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """A black one-bit PNG, with chunks before and after the one of its pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", head), *before, (b"IDAT", data), *after, (b"IEND", b""))
    )


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    """A PNG chunk, which may lie about its length."""
    return (
        struct.pack(">I", len(data) if length is None else length)
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def with_exif(jpeg: bytes, tiff: bytes) -> bytes:
    """Put an EXIF block into a JPEG."""
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
