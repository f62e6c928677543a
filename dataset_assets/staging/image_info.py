"""Size and format of an image from its first bytes, for sources that compare them with labels."""

import io
from typing import NamedTuple

from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

_ORIENTATION = 0x0112
#: EXIF orientations that exchange width and height.
_SIDEWAYS = frozenset({5, 6, 7, 8})


class ImageInfo(NamedTuple):
    """What the first bytes of an image say."""

    width: int
    """Pixels."""
    height: int
    format: str
    """Pillow's name: "JPEG", "PNG"; "" when it has none."""


def read_image_info(payload: bytes, *, is_rotated: bool = False) -> ImageInfo:
    """Read size and format.

    Args:
        payload: the image.
        is_rotated: apply the EXIF orientation, as viewers do: width and height are those of the
            image as shown.

    Raises:
        SampleError: it is no image, or claims too many pixels.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload)) as image:
            width, height = image.size
            orientation = image.getexif().get(_ORIENTATION) if is_rotated else None
            image_format = image.format or ""
    except Image.DecompressionBombError as exc:
        raise SampleError(Cause.TOO_MANY_PIXELS, str(exc)) from exc
    except (OSError, ValueError, SyntaxError) as exc:
        raise SampleError(Cause.NOT_IMAGE, "it is no image, or damaged at its beginning") from exc
    if orientation in _SIDEWAYS:
        return ImageInfo(height, width, image_format)
    return ImageInfo(width, height, image_format)
