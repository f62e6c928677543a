"""Images and videos by the suffix of their names, or by their first bytes."""

from typing import NamedTuple

#: Medium -> suffixes of its files, in lower case. The first ones are those of finetrainers.
SUFFIXES = {
    "image": ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"),
    "video": ("mp4", "mov", "webm", "mkv", "avi", "m4v"),
}
#: Bytes that `sniff_suffix` needs.
HEAD_BYTES = 16
_MEDIUM = {suffix: medium for medium, suffixes in SUFFIXES.items() for suffix in suffixes}
_BRANDS = {b"avif": "", b"avis": "", b"heic": "", b"qt  ": "mov"}


class _Magic(NamedTuple):
    """Bytes at a position that tell a format."""

    position: int
    bytes: bytes
    suffix: str


_MAGIC = (
    _Magic(0, b"\xff\xd8\xff", "jpg"),
    _Magic(0, b"\x89PNG\r\n\x1a\n", "png"),
    _Magic(8, b"WEBP", "webp"),
    _Magic(0, b"GIF8", "gif"),
    _Magic(0, b"BM", "bmp"),
    _Magic(0, b"II*\0", "tif"),
    _Magic(0, b"MM\0*", "tif"),
    _Magic(8, b"AVI ", "avi"),
    _Magic(0, b"\x1aE\xdf\xa3", "mkv"),  # webm too
)


def medium_of(suffix: str) -> str:
    """Return "image" or "video"; "" for the suffix of something else."""
    return _MEDIUM.get(suffix, "")


def suffix_of(name: str) -> str:
    """Return what follows the last dot of a file name, in lower case; "" without a dot."""
    name = name.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def stem_of(key: str) -> str:
    """Return a path without the suffix of its file name.

    Example:
        >>> stem_of("a.b/0001.jpg")
        'a.b/0001'
    """
    suffix = suffix_of(key)
    return key[: -len(suffix) - 1] if suffix else key


def sniff_suffix(head: bytes) -> str:
    """Return the suffix that fits the first bytes of a file; "" for other formats.

    Args:
        head: the first `HEAD_BYTES`, or all of a shorter file.
    """
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "mp4")
    fits = (each for each in _MAGIC if head.startswith(each.bytes, each.position))
    found = next(fits, None)
    return found.suffix if found else ""
