import gzip
import io
import tarfile
import zipfile

import pytest

from dataset_assets.fetch.media_types import NAMES, extension_for


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return buffer.getvalue()


TEXTS = ("csv", "py", "vtt", "srt", "json", "obj", "md", "geojson", "m3u8")


@pytest.mark.parametrize(
    ("body", "extension"),
    [
        (b"\xff\xd8\xff\xe0rest", "jpg"),
        (b"\x89PNG\r\n\x1a\nrest", "png"),
        (b"GIF89arest", "gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "webp"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "wav"),
        (b"BM\x36\x00\x00\x00\x00\x00\x00\x00\x36", "bmp"),
        (b"II*\x00rest", "tif"),
        (b"\x00\x00\x00\x1cftypavifrest", "avif"),
        (b"\x00\x00\x00\x18ftypmp42rest", "mp4"),
        (b"\x00\x00\x00\x18ftypM4A rest", "m4a"),
        (b"fLaCrest", "flac"),
        (b"ID3\x04rest", "mp3"),
        (b"\xff\xfb\x90\x64rest", "mp3"),
        (b"\xff\xf1\x50\x80rest", "aac"),
        (b"OggS\x00\x02" + bytes(22) + b"OpusHead", "opus"),
        (b"OggS\x00\x02" + bytes(22) + b"\x01vorbis", "ogg"),
        (b"\x1aE\xdf\xa3rest", "mkv"),
        (b"%PDF-1.7", "pdf"),
        (gzip.compress(b"x", mtime=0), "gz"),
        (_zip(), "zip"),
        (_tar(), "tar"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><p>", "html"),
        (b'<?xml version="1.0"?><!-- by hand --><svg xmlns="x">', "svg"),
        (b'<?xml version="1.0"?><rss>', "bin"),
        (b"BM I have a dream", "bin"),
        (b"", "bin"),
        (b"plain words", "bin"),
    ],
)
def test_extension_comes_from_the_bytes_when_they_say_it(body: bytes, extension: str) -> None:
    assert extension_for(body, "", "http://x/y") == extension


@pytest.mark.parametrize(
    ("body", "content_type", "url", "extension"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/jpeg", "http://x/y.gif", "png"),
        *((b"words", "text/plain", f"http://x/y.{kind}", kind) for kind in TEXTS),
        *((b"words", "application/octet-stream", f"http://x/y.{kind}", kind) for kind in TEXTS),
        (b"words", "text/plain", "http://x/y", "txt"),
        (b"words", "text/plain", "http://x/y.txt", "txt"),
        (b"Not found", "text/plain", "http://x/y.jpg", "txt"),
        (b"Not found", "text/plain", "http://x/y.mp4", "txt"),
        (b"words", "text/plain", "http://x/v1.2", "txt"),
        (b"<html>", "text/plain", "http://x/y.csv", "html"),
        (b"words", "text/csv", "http://x/y.json", "csv"),
        (b"\xff\xfea\0,\0b\0", "text/plain", "http://x/y.csv", "csv"),
        (b"FORM,COUNT\n1,2\n", "text/plain", "http://x/y.csv", "csv"),
        (b"FORM\0\0\0\0AIFFCOMM", "text/plain", "http://x/y.csv", "aiff"),
        (b"words", "", "http://x/y.mp3;jsessionid=1", "mp3"),
        (b"words", "application/octet-stream", "http://x/y.CSV;v=1.5;a.b?z=.exe", "csv"),
        (b"words", "text/plain", "http://x/a.csv/get;b=.json", "txt"),
        (b"words", "", "http://x/a%3Bb.csv", "csv"),
        (b"words", "", "http://x/a;b/c.csv", "csv"),
        (b"words", "application/octet-stream", "http://x/y.MD?z=.exe#.b", "md"),
        (b"words", "", "http://x/photo.JPEG", "jpg"),
        (b"words", "", "http://x/y%2Ecsv", "csv"),
        (b"words", "", "http://x.org", "bin"),
        (b"words", "", "http://x/archive.verylongsuffix", "bin"),
        (b"words", "", "http://[x/y.txt", "bin"),
        (b"PK\x03\x04", "application/epub+zip", "http://x/y", "epub"),
        (b"PK\x03\x04", "application/octet-stream", "http://x/y.docx", "docx"),
        (b"PK\x03\x04", "image/png", "http://x/y.png", "zip"),
        (b"\x1aE\xdf\xa3", "video/webm", "http://x/y", "webm"),
    ],
)
def test_next_best_source_names_the_extension_when_bytes_do_not(
    body: bytes, content_type: str, url: str, extension: str
) -> None:
    assert extension_for(body, content_type, url) == extension


def test_extensions_are_safe_in_file_names_when_taken_from_the_table() -> None:
    assert all(
        extension.isalnum() and extension == extension.lower() for extension in NAMES.values()
    )


def test_time_is_short_when_markup_is_hostile() -> None:
    assert extension_for(b"<!--" + b"-->" * 100_000, "", "") == "bin"
