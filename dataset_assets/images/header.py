"""Format, size and presence of EXIF from the first bytes of an image. File names are not trusted.

Limits apply to these numbers before a decoder runs; `decode` refuses images of another size.

Formats: JPEG (ITU T.81 B.1.1), PNG (W3C PNG 3, 5.3), WebP (RFC 9649), GIF89a, BMP
(BITMAPINFOHEADER), TIFF 6.0, PPM with PGM and PBM
(https://netpbm.sourceforge.net/doc/pnm.html), Sun raster. `box_header` reads AVIF and JPEG 2000.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dataset_assets.images.box_header import CODESTREAM, BoxHeader, is_avif, read_avif, read_jp2
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause

DECODE_MESSAGE = "Image decoding error"  # as img2dataset has it

#: Bounds the time for a crafted file of empty segments.
_MAX_SEGMENTS = 65_536
#: Markers that start a frame: 0xC0 to 0xCF without the tables DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_JPEG_DATA_OR_END = frozenset({0xD9, 0xDA})

_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (CODESTREAM, "jp2"),
    (b"\x59\xa6\x6a\x95", "ras"),
)
#: White space and comments between the numbers of a PPM.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PPM = re.compile(rb"P(?:[14]%b(\d+)%b(\d+)|[2356]%b(\d+)%b(\d+)%b(\d+))\s" % (5 * (_GAP,)))
_MAX_PPM_DIGITS = 10
_ENDS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82"}
#: Bytes of a file that is no image to look at to tell what it is.
_HEAD = 4096
_FOREIGN = (
    (
        Cause.NOT_IMAGE,
        "text/html",
        (
            rb"(\xef\xbb\xbf)?\s*(<!--.{0,1000}?-->\s*)?"
            rb"<(!doctype html|html|head|body|title|meta|script)"
        ),
    ),
    (
        Cause.UNSUPPORTED_FORMAT,
        "image/svg+xml",
        rb"(\xef\xbb\xbf)?\s*<(svg|(\?xml|!--|!doctype svg).*<svg)",
    ),
    (Cause.UNSUPPORTED_FORMAT, "application/postscript", rb"%!PS|\xc5\xd0\xd3\xc6"),
    (Cause.UNSUPPORTED_FORMAT, "application/pdf", rb"%PDF"),
    (Cause.UNSUPPORTED_FORMAT, "image/vnd.adobe.photoshop", rb"8BPS"),
    (Cause.UNSUPPORTED_FORMAT, "image/heic", rb".{4}ftyp(hei|hev|mif1|msf1)"),
    (Cause.UNSUPPORTED_FORMAT, "image/jxl", rb"\xff\x0a|\0\0\0\x0cJXL "),
    (Cause.UNSUPPORTED_FORMAT, "image/x-icon", rb"\0\0[\x01\x02]\0"),
    (Cause.UNSUPPORTED_FORMAT, "image/x-portable-arbitrarymap", rb"P7\nWIDTH "),
    (Cause.UNSUPPORTED_FORMAT, "image/x-portable-floatmap", rb"P[Ff]\s+\d+\s+\d+\s+-?[\d.]+\s"),
    (Cause.UNSUPPORTED_FORMAT, "image/vnd.radiance", rb"#\?(RADIANCE|RGBE)"),
    (Cause.UNSUPPORTED_FORMAT, "image/tiff (BigTIFF)", rb"II\+\0|MM\0\+"),
    (Cause.NOT_IMAGE, "video/mp4", rb".{4}ftyp"),
    (Cause.NOT_IMAGE, "text/xml", rb"(\xef\xbb\xbf)?\s*<\?xml"),
    (Cause.NOT_IMAGE, "application/json", rb"\s*[{\[]"),
    (Cause.NOT_IMAGE, "application/zip", rb"PK\x03\x04"),
    (Cause.NOT_IMAGE, "application/gzip", rb"\x1f\x8b"),
    (Cause.NOT_IMAGE, "text/plain", rb"[\t\n\r\x20-\x7e]{16}"),
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the first bytes of an image say."""

    format: str  # one of options.FORMATS
    width: int  # px, as stored: EXIF rotation is not applied
    height: int
    has_exif: bool = False
    channels: int = 0  # of a JPEG, else 0
    is_animated: bool = False  # of a PNG, else False
    max_value: int = 0  # of a pixel as OpenCV returns it; 0: the largest of its type

    @property
    def pixels(self) -> int:
        """The area."""
        return self.width * self.height


def read_header(body: bytes) -> ImageHeader:
    """Read format and size.

    Raises:
        RefusedImage: it is no image, of a format that is not read, or truncated in its header.
    """
    name = _format(body)
    try:
        header = _READERS[name](body)
    except (IndexError, ValueError, struct.error) as exc:
        raise RefusedImage(Cause.DECODE_ERROR, DECODE_MESSAGE) from exc
    if header.pixels == 0:
        raise RefusedImage(Cause.DECODE_ERROR, DECODE_MESSAGE)
    return header


def is_image(body: bytes) -> bool:
    """Tell whether a body begins like an image of a format that is read."""
    return _known_format(body) is not None


def count_trailing_bytes(body: bytes, image_format: str) -> int:
    """Count the bytes after the end of an image, where a polyglot file may hide a web page.

    Returns 0 if the format does not tell where the image ends.
    """
    if image_format == "webp":
        size: int = struct.unpack_from("<I", body, 4)[0]
        return max(0, len(body) - 8 - size - size % 2)
    end = _ENDS.get(image_format)
    if end is None or body.endswith(end):
        return 0
    found = body.rfind(end)
    return len(body) - found - len(end) if found >= 0 else 0


def _format(body: bytes) -> str:
    name = _known_format(body)
    if name is None:
        raise _foreign(body)
    return name


def _known_format(body: bytes) -> str | None:
    for magic, name in _MAGIC:
        if body.startswith(magic):
            return name
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return "webp"
    if is_avif(body):
        return "avif"
    return "ppm" if _PPM.match(body, 0, _HEAD) else None


def _foreign(body: bytes) -> RefusedImage:
    for cause, name, pattern in _FOREIGN:
        if re.match(pattern, body[:_HEAD], re.IGNORECASE | re.DOTALL):
            return RefusedImage(cause, name)
    return RefusedImage(Cause.NOT_IMAGE, "unknown content")


def _jpeg(body: bytes) -> ImageHeader:
    position = 2
    has_exif = False
    for _ in range(_MAX_SEGMENTS):
        position = body.index(0xFF, position)
        marker = body[position + 1]
        if marker in _JPEG_FRAMES:
            height, width, channels = struct.unpack_from(">HHB", body, position + 5)
            return ImageHeader("jpeg", width, height, has_exif, channels)
        if marker in _JPEG_DATA_OR_END:
            break
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            position += 2
        else:
            has_exif = has_exif or (marker == 0xE1 and body.startswith(b"Exif", position + 4))
            position += 2 + (body[position + 2] << 8 | body[position + 3])
    raise ValueError("no frame header")


def _png(body: bytes) -> ImageHeader:
    kinds = [kind for kind, _, _ in list_png_chunks(body)]
    if kinds[0] != b"IHDR":
        raise ValueError("no IHDR")
    width, height = struct.unpack_from(">II", body, 16)
    return ImageHeader(
        "png", width, height, has_exif=b"eXIf" in kinds, is_animated=b"acTL" in kinds
    )


def list_png_chunks(body: bytes) -> list[tuple[bytes, int, int]]:
    """List the chunks as (type, start, end).

    Each ends within the file: a decoder may allocate any length that a chunk claims.

    Raises:
        ValueError, struct.error: the file ends before its last chunk.
    """
    chunks = []
    start = 8
    for _ in range(_MAX_SEGMENTS):
        length, kind = struct.unpack_from(">I4s", body, start)
        end = start + 12 + length
        if end > len(body):
            break
        chunks.append((kind, start, end))
        if kind == b"IEND":
            return chunks
        start = end
    raise ValueError("no IEND")


def _webp(body: bytes) -> ImageHeader:
    kind = body[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(body[24:27], "little") + 1
        height = int.from_bytes(body[27:30], "little") + 1
        return ImageHeader("webp", width, height, has_exif=bool(body[20] & 8))
    if kind == b"VP8L":
        bits: int = struct.unpack_from("<I", body, 21)[0]
        return ImageHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack_from("<HH", body, 26)
    return ImageHeader("webp", width & 0x3FFF, height & 0x3FFF)


def _gif(body: bytes) -> ImageHeader:
    return ImageHeader("gif", *struct.unpack_from("<HH", body, 6))


def _bmp(body: bytes) -> ImageHeader:
    old = struct.unpack_from("<I", body, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if old else "<ii", body, 18)
    return ImageHeader("bmp", abs(width), abs(height))  # a negative height: rows from the top


def _tiff(body: bytes) -> ImageHeader:
    tags = dict(_tiff_tags(body))
    width = tags.get(256, 0)
    height = tags.get(257, 0)
    if tags.get(258, 1) > 16:
        raise RefusedImage(Cause.UNSUPPORTED_FORMAT, "image/tiff of more than 16 bits")
    if tags.get(322, 0) * tags.get(323, 0) > max(width * height, 2**20):
        raise ValueError("tiles are far larger than the image")  # a decoder allocates them
    return ImageHeader("tiff", width, height, has_exif=True)


def _tiff_tags(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield the integer tags of the first directory, each with its first number."""
    order = "<" if body.startswith(b"II") else ">"
    first: int = struct.unpack_from(f"{order}I", body, 4)[0]
    for entry in range(struct.unpack_from(f"{order}H", body, first)[0]):
        position = first + 2 + 12 * entry
        tag, kind, count = struct.unpack_from(f"{order}HHI", body, position)
        number = {3: "H", 4: "I"}.get(kind)
        if number is None:
            continue
        where = position + 8
        if count * struct.calcsize(number) > 4:  # the entry has an offset instead of the numbers
            where = struct.unpack_from(f"{order}I", body, where)[0]
        yield tag, struct.unpack_from(f"{order}{number}", body, where)[0]


def _ppm(body: bytes) -> ImageHeader:
    found = _PPM.match(body, 0, _HEAD)
    if found is None:
        raise ValueError("no header")
    numbers = [text for text in found.groups() if text is not None]
    if any(len(text) > _MAX_PPM_DIGITS for text in numbers):
        raise ValueError("a number is too large")
    width, height, *rest = (int(text) for text in numbers)
    max_value = rest[0] if rest else 255  # a bitmap is decoded to 0 and 255
    if not 0 < max_value < 65_536:
        raise ValueError("the largest value is not one of 1 to 65535")
    return ImageHeader("ppm", width, height, max_value=max_value)


def _ras(body: bytes) -> ImageHeader:
    return ImageHeader("ras", *struct.unpack_from(">II", body, 4))


def _of_boxes(name: str, header: BoxHeader, *, has_exif: bool) -> ImageHeader:
    return ImageHeader(name, header.width, header.height, has_exif, max_value=header.max_value)


def _avif(body: bytes) -> ImageHeader:
    # The item of EXIF tags is named in the boxes before the pixels.
    return _of_boxes("avif", read_avif(body), has_exif=b"Exif" in body[:_HEAD])


def _jp2(body: bytes) -> ImageHeader:
    return _of_boxes("jp2", read_jp2(body), has_exif=False)


_READERS: dict[str, Callable[[bytes], ImageHeader]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "gif": _gif,
    "bmp": _bmp,
    "tiff": _tiff,
    "avif": _avif,
    "jp2": _jp2,
    "ppm": _ppm,
    "ras": _ras,
}
