"""Chooses the file name extension of a body, from its first bytes, its content type or its URL.

Magic numbers are those of the formats' specifications.
Content types: https://www.iana.org/assignments/media-types
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

UNKNOWN = "bin"

_START = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "j2k"),
    (b"8BPS", "psd"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b".snd", "au"),
    (b"MThd", "mid"),
    (b"\x1aE\xdf\xa3", "mkv"),
    (b"FLV\x01", "flv"),
    (b"0&\xb2u\x8ef\xcf\x11", "wmv"),
    (b"\x00\x00\x01\xba", "mpg"),
    (b"\x00\x00\x01\xb3", "mpg"),
    (b"%PDF-", "pdf"),
    (b"%!PS", "ps"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\x93NUMPY", "npy"),
    (b"\x89HDF\r\n\x1a\n", "h5"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"\x00asm", "wasm"),
    (b"glTF", "glb"),
)
_RIFF = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}
#: ISO base media files by major brand. All others are mp4.
_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"mif1": "heic",
    b"M4A ": "m4a",
    b"qt  ": "mov",
    b"3gp4": "3gp",
}


def _table(text: str) -> Mapping[str, str]:
    """Parse lines of an extension and its content types."""
    rows = (line.split() for line in text.strip().splitlines())
    return MappingProxyType({name: extension for extension, *names in rows for name in names})


#: Content type -> extension.
NAMES = _table(
    """
    3gp video/3gpp
    7z application/x-7z-compressed
    aac audio/aac audio/x-aac
    aiff audio/aiff audio/x-aiff
    au audio/basic
    avi video/x-msvideo video/avi
    avif image/avif
    bmp image/bmp image/x-ms-bmp
    bz2 application/x-bzip2
    css text/css
    csv text/csv
    docx application/vnd.openxmlformats-officedocument.wordprocessingml.document
    epub application/epub+zip
    flac audio/flac audio/x-flac
    flv video/x-flv
    gif image/gif
    glb model/gltf-binary
    gltf model/gltf+json
    gz application/gzip application/x-gzip
    h5 application/x-hdf5 application/x-hdf
    heic image/heic image/heif
    html text/html application/xhtml+xml
    ico image/vnd.microsoft.icon image/x-icon
    ics text/calendar
    jp2 image/jp2
    jpg image/jpeg image/jpg image/pjpeg
    js text/javascript application/javascript
    json application/json
    jsonl application/jsonl application/x-ndjson
    jxl image/jxl
    m4a audio/mp4 audio/x-m4a
    md text/markdown
    mid audio/midi audio/x-midi
    mkv video/x-matroska
    mov video/quicktime
    mp3 audio/mpeg audio/mp3
    mp4 video/mp4
    mpg video/mpeg
    ogg audio/ogg application/ogg
    ogv video/ogg
    opus audio/opus
    parquet application/vnd.apache.parquet
    pdf application/pdf
    png image/png
    pptx application/vnd.openxmlformats-officedocument.presentationml.presentation
    ps application/postscript
    psd image/vnd.adobe.photoshop
    rar application/vnd.rar application/x-rar-compressed
    rtf application/rtf text/rtf
    svg image/svg+xml
    tar application/x-tar
    tif image/tiff
    ts video/mp2t
    tsv text/tab-separated-values
    txt text/plain
    vtt text/vtt
    wasm application/wasm
    wav audio/wav audio/x-wav audio/wave audio/vnd.wave
    weba audio/webm
    webm video/webm
    webp image/webp
    wmv video/x-ms-wmv
    xlsx application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
    xml application/xml text/xml
    xz application/x-xz
    zip application/zip application/x-zip-compressed
    zst application/zstd
    """
)
#: Container formats: the content type or the URL identifies what they contain.
_REFINED = {
    "zip": {"docx", "xlsx", "pptx", "epub", "npz", "jar", "apk", "usdz", "kmz", "cbz"},
    "mkv": {"webm", "weba", "mka"},
    "ogg": {"oga", "ogv", "opus", "spx"},
    "mp4": {"m4v", "m4a", "mov", "3gp"},
    "tif": {"dng", "nef", "cr2", "arw"},
    "gz": {"tgz"},
}
_ALIASES = {
    "jpeg": "jpg",
    "jpe": "jpg",
    "jfif": "jpg",
    "tiff": "tif",
    "htm": "html",
    "mpeg": "mpg",
    "oga": "ogg",
    "midi": "mid",
}
#: Formats whose first bytes tell them: a body without these bytes is of another format.
_KNOWN_BY_BYTES = frozenset(
    (
        *(name for _, name in _START),
        *_RIFF.values(),
        *_BRANDS.values(),
        "mp4",
        "ogg",
        "opus",
        UNKNOWN,
    )
)
_SUFFIX = re.compile(r"\.([a-z0-9]{1,8})$")
#: What servers say of text of any kind: csv, json, py, srt, obj, ...
_ANY_TEXT = "txt"


def extension_for(body_start: bytes, content_type: str, url: str) -> str:
    """Return the extension of a body, without the dot and never empty.

    Magic bytes have priority over the content type, and that over the suffix of the URL's path.
    text/plain says less than a suffix: it has priority only over one of a format that the bytes
    are not in, and over digits. Without any of them it is `bin`.

    Args:
        body_start: the first 512 bytes or more.
        content_type: as sent, in lower case, without parameters; "" when there was none.
        url: where the body came from.
    """
    named = NAMES.get(content_type, "")
    suffix = url_suffix(url)
    found = _magic(body_start[:1024])
    for other in (named, suffix):
        if other in _REFINED.get(found, ()):
            return other
    if named == _ANY_TEXT and _may_be_text(suffix):
        named = suffix
    return found or named or suffix or UNKNOWN


def _may_be_text(suffix: str) -> bool:
    return bool(suffix) and suffix not in _KNOWN_BY_BYTES and not suffix.isdigit()


def _magic(start: bytes) -> str:
    for magic, extension in _START:
        if start.startswith(magic):
            return extension
    if start[:4] == b"RIFF":
        return _RIFF.get(start[8:12], "")
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if start[4:8] == b"ftyp":
        return _brand(start)
    if start[:4] == b"OggS":
        return "opus" if b"OpusHead" in start[:64] else "ogg"
    return _weak_magic(start)


def _brand(start: bytes) -> str:
    """Return what an ISO base media file is: mif1 is an image of the format that it names next."""
    size = min(int.from_bytes(start[:4], "big"), len(start))
    if start[8:12] == b"mif1" and b"avif" in start[16:size]:
        return "avif"
    return _BRANDS.get(start[8:12], "mp4")


def _weak_magic(start: bytes) -> str:
    """Recognize formats with few fixed bits, or none at the beginning."""
    if start[257:262] == b"ustar":
        return "tar"
    is_utf_16 = start[:2] == b"\xff\xfe"
    if (
        len(start) > 1
        and not is_utf_16
        and start[0] == 0xFF
        and start[1] & 0xE0 == 0xE0
        and start[1] & 0x18 != 0x08
    ):
        return "aac" if start[1] & 0x06 == 0 else "mp3"
    if start[:2] == b"BM" and start[6:10] == bytes(4):
        return "bmp"
    return _markup(start.lstrip(b"\xef\xbb\xbf \t\r\n").lower())


def _markup(start: bytes) -> str:
    if start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if start.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype")):
        if b"<svg" in start:
            return "svg"
        if b"<html" in start:
            return "html"
    return ""


def url_suffix(url: str) -> str:
    """Return the suffix of a URL's path in lower case, without the dot; "" if there is none."""
    try:
        # A segment may have parameters (RFC 3986, 3.3): `x.mp3;jsessionid=1`.
        name = urlsplit(url).path.rpartition("/")[2].partition(";")[0]
    except ValueError:
        return ""
    found = _SUFFIX.search(unquote(name).lower())
    return _ALIASES.get(found[1], found[1]) if found else ""
