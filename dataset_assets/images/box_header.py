"""Size and largest value of AVIF and JPEG 2000 files, which consist of boxes.

Formats: AVIF (https://aomediacodec.github.io/av1-avif/ and ISO/IEC 23008-12), JPEG 2000
(ITU-T T.800, annexes A.5.1 and I).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause

CODESTREAM = b"\xff\x4f\xff\x51"  # of JPEG 2000: its first marker, then that of the size
_AVIF_BRANDS = (b"avif", b"avis")
_MAX_BRANDS = 64
#: Bounds the time for a crafted file of tiny boxes.
_MAX_BOXES = 4096
_MAX_BITS = 16
_MAX_CHANNELS = 4


class BoxHeader(NamedTuple):
    """What the boxes say."""

    width: int  # px
    height: int
    max_value: int
    """Largest value of a pixel as the decoder returns it."""


class _Box(NamedTuple):
    kind: bytes
    start: int  # of its content
    end: int


def is_avif(body: bytes) -> bool:
    """Tell whether a file says that it is AVIF, as its main brand or as one of the others."""
    if body[4:8] != b"ftyp":
        return False
    size = min(int.from_bytes(body[:4], "big"), 16 + 4 * _MAX_BRANDS)
    brands = (body[8:12], *(body[at : at + 4] for at in range(16, size, 4)))
    return any(brand in _AVIF_BRANDS for brand in brands)


def read_avif(body: bytes) -> BoxHeader:
    """Read the size of the primary image and the depth.

    Raises:
        ValueError, struct.error, IndexError: there is no sound header.
    """
    meta = _find(body, b"meta", 0, len(body))
    start = meta.start + 4  # version and flags
    primary = _primary_item(body, _find(body, b"pitm", start, meta.end))
    parts = _find(body, b"iprp", start, meta.end)
    container = _find(body, b"ipco", parts.start, parts.end)
    properties = list(_boxes(body, container.start, container.end))
    for index in _properties_of(body, _find(body, b"ipma", parts.start, parts.end), primary):
        found = properties[index - 1] if 0 < index <= len(properties) else None
        if found is not None and found.kind == b"ispe":
            width, height = struct.unpack_from(">II", body, found.start + 4)
            return BoxHeader(width, height, _avif_max_value(body, properties))
    raise ValueError("no size of the primary image")


def read_jp2(body: bytes) -> BoxHeader:
    """Read the size and the depth from the codestream, which the decoder goes by.

    Raises:
        RefusedImage: it has more channels or bits than are decoded.
        ValueError, struct.error, IndexError: there is no sound header.
    """
    start = 0
    if not body.startswith(CODESTREAM):
        start = _find(body, b"jp2c", 0, len(body)).start
        if body[start : start + 4] != CODESTREAM:
            raise ValueError("no codestream")
    right, bottom, left, top = struct.unpack_from(">4I", body, start + 8)
    channels: int = struct.unpack_from(">H", body, start + 40)[0]
    bits = (body[start + 42] & 0x7F) + 1
    if right <= left or bottom <= top:
        raise ValueError("no area")
    if channels > _MAX_CHANNELS:
        raise RefusedImage(Cause.UNSUPPORTED_FORMAT, f"image/jp2 of {channels} channels")
    if bits > _MAX_BITS:
        raise RefusedImage(Cause.UNSUPPORTED_FORMAT, "image/jp2 of more than 16 bits")
    return BoxHeader(right - left, bottom - top, 2**bits - 1)


def _boxes(body: bytes, start: int, end: int) -> Iterator[_Box]:
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", body, start)
        head = 8
        if size == 1:
            size = struct.unpack_from(">Q", body, start + 8)[0]
            head = 16
        elif size == 0:  # up to the end
            size = end - start
        if size < head:
            raise ValueError("a box is smaller than its header")
        yield _Box(kind, start + head, min(start + size, end))
        start += size
    raise ValueError("too many boxes")


def _find(body: bytes, kind: bytes, start: int, end: int) -> _Box:
    for box in _boxes(body, start, end):
        if box.kind == kind:
            return box
    raise ValueError(f"no box {kind.decode()}")


def _primary_item(body: bytes, box: _Box) -> int:
    number = ">I" if body[box.start] else ">H"
    item: int = struct.unpack_from(number, body, box.start + 4)[0]
    return item


def _properties_of(body: bytes, box: _Box, wanted: int) -> list[int]:
    """Return the numbers, from 1, of the properties of an item."""
    is_long = bool(body[box.start])
    is_wide = bool(body[box.start + 3] & 1)
    items: int = struct.unpack_from(">I", body, box.start + 4)[0]
    at = box.start + 8
    for _ in range(min(items, _MAX_BOXES)):
        item: int = struct.unpack_from(">I" if is_long else ">H", body, at)[0]
        at += 4 if is_long else 2
        count = body[at]
        at += 1
        if item == wanted:
            width = ">H" if is_wide else ">B"
            mask = 0x7FFF if is_wide else 0x7F  # the highest bit: essential
            step = 2 if is_wide else 1
            return [
                struct.unpack_from(width, body, at + step * number)[0] & mask
                for number in range(count)
            ]
        at += count * (2 if is_wide else 1)
    raise ValueError("the primary image has no properties")


def _avif_max_value(body: bytes, properties: list[_Box]) -> int:
    """Return the largest value at the depth of the AV1 configuration."""
    for found in properties:
        if found.kind == b"av1C":
            flags = body[found.start + 2]
            bits = (12 if flags & 0x20 else 10) if flags & 0x40 else 8
            return int(2**bits - 1)
    raise ValueError("no AV1 configuration")
