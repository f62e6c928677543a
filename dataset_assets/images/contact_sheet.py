"""Contact sheets: many images in one, to see at a glance what a dataset holds.

Tiles have one size, images are not cropped, and equal images give equal bytes. An image that cannot
be read is a tile with a cross, so that images never make a sheet fail.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from dataset_assets.errors import ConfigurationError
from dataset_assets.images.codec import encode
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.pixels import Pixels
from dataset_assets.images.transform import ImageTransform

_WIDTHS = (800, 560, 400, 280, 200, 140, 100)  # px, of sheets inside a text
_GAP = 4  # px between tiles and around them
_LINE = 16  # px, height of a caption
_PAPER = (255, 255, 255)
_TILE = (238, 238, 238)
_INK = (80, 80, 80)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.36


def draw_contact_sheet(
    images: Sequence[bytes],
    *,
    columns: int = 8,
    tile_px: int = 128,
    captions: Sequence[str | None] | None = None,
    format: str = "png",  # noqa: A002 - as in Pillow's save
    quality: int | None = None,
) -> bytes:
    """Draw the images on a sheet, row by row.

    Args:
        images: files of any format that `ImageOptions.formats` accepts.
        columns: tiles in a row, or as many as there are images.
        tile_px: side of a tile.
        captions: one per image, cut to the width of its tile.
        format: png or jpg.
        quality: of the encoder; None for 95 (jpg) or compression level 9 (png).

    Raises:
        ConfigurationError: an argument is not valid, or only some images have a caption.
    """
    if columns < 1 or tile_px < 8:
        raise ConfigurationError(
            f"contact sheet: expected columns >= 1 and tile_px >= 8, got {columns} and {tile_px}"
        )
    if captions is not None and len(captions) != len(images):
        raise ConfigurationError(
            f"contact sheet: expected {len(images)} captions, one per image, got {len(captions)}"
        )
    if format not in ("png", "jpg"):
        raise ConfigurationError(f"contact sheet: expected format png or jpg, got {format!r}")
    if quality is None:
        quality = 95 if format == "jpg" else 9
    options = ImageOptions(encode_format=format, encode_quality=quality)
    return encode(_draw(images, columns, tile_px, captions), options)


def draw_inline_sheet(
    images: Sequence[bytes], *, columns: int = 8, rows: int = 3, max_bytes: int = 10_000
) -> bytes:
    """Draw the first images as a JPEG of fewer than `max_bytes` bytes, small enough for a text.

    Reduces the quality first, then the number of rows.

    Raises:
        ConfigurationError: not even one row fits.
    """
    for count in range(rows * columns, 0, -columns):
        sheet = _draw(images[:count], columns, 64, None)
        for quality in (80, 60, 40, 20):
            data = encode(sheet, ImageOptions(encode_quality=quality))
            if len(data) < max_bytes:
                return data
    raise ConfigurationError(
        f"contact sheet: a row of {columns} images does not fit into {max_bytes} bytes"
    )


def shrink_sheet(sheet: bytes, *, max_bytes: int = 10_000) -> bytes:
    """Return a sheet as a JPEG of fewer than `max_bytes` bytes.

    Reduces the quality first, then the size.

    Raises:
        ConfigurationError: the sheet is not an image, or does not fit.
    """
    pixels: Any = cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ConfigurationError("contact sheet: expected an image file, got other bytes")
    for width in _WIDTHS:
        ratio = min(1.0, width / pixels.shape[1])
        size = round(pixels.shape[1] * ratio), max(1, round(pixels.shape[0] * ratio))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        for quality in (80, 60, 40):
            data = encode(small, ImageOptions(encode_quality=quality))
            if len(data) < max_bytes:
                return data
    raise ConfigurationError(
        f"contact sheet: expected one that fits into {max_bytes} bytes, got a larger one; "
        "raise max_bytes"
    )


def _draw(
    images: Sequence[bytes], columns: int, tile_px: int, captions: Sequence[str | None] | None
) -> Pixels:
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    step = tile_px + _GAP + (_LINE if captions else 0)
    sheet = np.full((rows * step + _GAP, columns * (tile_px + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for index, body in enumerate(images):
        row, column = divmod(index, columns)
        top = _GAP + row * step
        left = _GAP + column * (tile_px + _GAP)
        bottom = top + tile_px
        sheet[top:bottom, left : left + tile_px] = _draw_tile(body, tile_px)
        if captions:
            line = sheet[bottom : bottom + _LINE, left : left + tile_px]
            _write(line, captions[index] or "")
    return sheet


def _draw_tile(body: bytes, tile_px: int) -> Pixels:
    """Return the image in the center of a tile of (tile_px, tile_px, 3)."""
    options = ImageOptions(
        image_size=tile_px,
        resize_mode="keep_ratio_largest",
        resize_only_if_bigger=True,
        encode_format="png",
        encode_quality=0,
        extract_exif=False,
        area_kernel="opencv",  # not worth loading numba
    )
    tile = np.full((tile_px, tile_px, 3), _TILE, np.uint8)
    payload = ImageTransform(options).run(body).payload
    if payload is None:
        for start, end in (((0, 0), (tile_px, tile_px)), ((0, tile_px), (tile_px, 0))):
            cv2.line(tile, start, end, _INK, 1, cv2.LINE_AA)
        return tile
    image: Any = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    top = (tile_px - height) // 2
    left = (tile_px - width) // 2
    tile[top : top + height, left : left + width] = image
    return tile


def _write(line: Pixels, text: str) -> None:
    """Write a caption, cut to the width of the line. Control characters become spaces."""
    printable = (letter if letter.isprintable() else " " for letter in text[:200])
    text = " ".join("".join(printable).split())
    whole = text
    while text and cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0] > line.shape[1]:
        text = text.removesuffix("...")[:-1].rstrip()
        text = f"{text}..." if text and text != whole else text
    cv2.putText(line, text, (0, _LINE - 5), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
