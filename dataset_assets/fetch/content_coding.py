"""Content codings: which are removed from a body, and which belong to the file.

The rule, from RFC 9110. Every request says `Accept-Encoding: identity`, so no server was asked to
compress. A `Content-Encoding` that comes all the same is one of three things:

* It belongs to the file (8.4: a coding is a property of the representation). A server labels a
  `.tar.gz` or `.nii.gz` with gzip, or an object was stored compressed with that metadata. Such a
  body is the file: it is stored as it was received.
* The server chose it for this response. It says so with `Vary: Accept-Encoding` (12.5.5). Then the
  file is what is inside, and the coding is removed, unless the URL names a compressed file.
* It is wrong, or no coding at all (`aws-chunked`, `UTF8`). It has no effect.

Images are the exception to the first: nothing else can be made of a coded image than the image. In
all cases the bytes decide: a coding is removed only from a body that is in it, and whole.
"""

import re
import zlib
from collections.abc import Sequence

import pyarrow as pa

from dataset_assets.fetch.media_types import NAMES, url_suffix

#: Content coding -> Arrow's name of it. Its gzip is also zlib, which HTTP calls deflate.
_CODECS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "gzip", "br": "brotli", "zstd": "zstd"}
#: Suffixes of files that are in a coding themselves.
_COMPRESSED = frozenset(
    ("br", "bgz", "dz", "emz", "gz", "gzip", "svgz", "taz", "tgz", "tzst", "z", "zst", "zstd")
)
_COMPRESSED_START = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
#: More codings than a body can sensibly be in.
_MAX_CODINGS = 4
_CHUNK = 1 << 18


class TooLarge(Exception):
    """What is inside a body is larger than allowed."""


def codings_in(headers: Sequence[bytes]) -> tuple[str, ...]:
    """Return the codings that values of `Content-Encoding` name, in lower case and in order.

    Labels that are no codings are left out.
    """
    names = re.split(rb"[,\s]+", b",".join(headers).lower())
    return tuple(text for name in names if (text := name.decode("latin-1")) in _CODECS)


def varies_by_coding(headers: Sequence[bytes]) -> bool:
    """Tell from the values of `Vary` whether the server chose the coding for this response."""
    return b"accept-encoding" in re.split(rb"[,\s]+", b",".join(headers).lower())


def names_plain_file(url: str, content_type: str) -> bool:
    """Tell whether the URL, or without a suffix the content type, names an uncompressed file."""
    name = url_suffix(url) or NAMES.get(content_type, "")
    return bool(name) and name not in _COMPRESSED


def decode(body: bytes, codings: Sequence[str], max_bytes: int | None) -> bytes | None:
    """Remove codings, the last first.

    Args:
        body: a response.
        codings: what `codings_in` has found.
        max_bytes: of the result. None: any number.

    Returns:
        What is inside, or None if the body is not in the codings, cut or damaged.

    Raises:
        TooLarge: it has more bytes than allowed.
    """
    if not codings or len(codings) > _MAX_CODINGS:
        return None
    data: bytes | None = body
    for coding in reversed(codings):
        if data is None:
            return None
        data = _unpack(coding, data, max_bytes)
    return data


def is_text(body: bytes) -> bool:
    """Tell whether a body is text, and so in no coding whatever its label says."""
    if body.startswith(_COMPRESSED_START):
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unpack(coding: str, body: bytes, max_bytes: int | None) -> bytes | None:
    data = _unpack_stream(_CODECS[coding], body, max_bytes)
    if data is None and coding == "deflate":
        return _inflate_raw(body, max_bytes)
    return data


def _unpack_stream(codec: str, body: bytes, max_bytes: int | None) -> bytes | None:
    chunks = []
    size = 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
            while chunk := stream.read(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                _check_size(size, max_bytes)
    except (OSError, pa.ArrowException):
        return None
    return b"".join(chunks) or None


def _inflate_raw(body: bytes, max_bytes: int | None) -> bytes | None:
    """Unpack deflate without the frame of zlib, a common mistake of servers (RFC 9110, 8.4.1.2)."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = stream.decompress(body, 0 if max_bytes is None else max_bytes + 1)
    except zlib.error:
        return None
    _check_size(len(data), max_bytes)
    return data if stream.eof and data else None


def _check_size(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise TooLarge
