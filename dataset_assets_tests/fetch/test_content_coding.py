"""Labels of Content-Encoding: bodies stay as sent, and codings go by bytes."""

import gzip
import zlib

import pyarrow as pa
import pytest

from dataset_assets.fetch.content_coding import TooLarge, codings_in, decode, names_plain_file
from dataset_assets.records.causes import Cause
from dataset_assets_tests.fetch.conftest import fetch_one, quick
from dataset_assets_tests.support.http_server import HttpServer

TEXT = b"User-agent: *\nDisallow: /no\n" * 20
RAW_DEFLATE = zlib.compress(TEXT)[2:-4]


def _pack(codec: str, data: bytes = TEXT) -> bytes:
    return bytes(pa.compress(data, codec, asbytes=True))


@pytest.mark.parametrize(
    "label",
    ["gzip", "x-gzip", "GZIP", "br", "gzip, br", "aws-chunked", "UTF8", "utf-8", "none", "a b", ""],
)
@pytest.mark.parametrize("body", [TEXT, gzip.compress(TEXT, mtime=0)], ids=["plain", "gzip"])
def test_body_is_fetched_as_sent_whatever_its_label(
    server: HttpServer, label: str, body: bytes
) -> None:
    outcome = fetch_one(server.add("/a.tar.gz", body, headers=[("Content-Encoding", label)]))

    assert (outcome.body, outcome.cause) == (body, None)
    assert server.log[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("headers", "codings", "is_chosen"),
    [
        ([], (), False),
        ([("content-encoding", "X-GZip")], ("x-gzip",), False),
        ([("Content-Encoding", "aws-chunked, gzip")], ("gzip",), False),
        ([("Content-Encoding", "UTF8"), ("Vary", "Accept-Encoding")], (), False),
        ([("Content-Encoding", "gzip"), ("Content-Encoding", "br")], ("gzip", "br"), False),
        ([("Content-Encoding", "br"), ("Vary", "Origin, Accept-Encoding")], ("br",), True),
        (
            [("Content-Encoding", "br"), ("Vary", "Origin"), ("vary", "ACCEPT-ENCODING")],
            *(("br",), True),
        ),
        ([("Content-Encoding", "gzip"), ("Vary", "*")], ("gzip",), False),
    ],
)
def test_outcome_says_which_codings_the_server_named_and_chose(
    server: HttpServer, headers: list[tuple[str, str]], codings: tuple[str, ...], is_chosen: bool
) -> None:
    outcome = fetch_one(server.add("/a", TEXT, headers=headers))

    assert (outcome.codings, outcome.is_coding_chosen) == (codings, is_chosen)


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT[:100], mtime=0) + gzip.compress(TEXT[100:], mtime=0), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (RAW_DEFLATE, "deflate"),
        (_pack("brotli"), "br"),
        (_pack("zstd"), "zstd"),
        (_pack("brotli", gzip.compress(TEXT, mtime=0)), "gzip, br"),
    ],
)
def test_coding_is_removed_when_the_body_is_in_it(body: bytes, label: str) -> None:
    codings = codings_in([label.encode()])

    assert decode(body, codings, None) == TEXT
    assert decode(body, codings, len(TEXT) if "," not in label else None) == TEXT
    with pytest.raises(TooLarge):
        decode(body, codings, 10)


@pytest.mark.parametrize("label", ["gzip", "deflate", "br", "zstd", "gzip, br"])
@pytest.mark.parametrize(
    "body",
    [
        TEXT,
        b"",
        b"\xff\xd8\xff\xe0JFIF",
        b"\x1f\x8b",
        gzip.compress(TEXT, mtime=0)[:-9],
        bytes(100),
    ],
    ids=["text", "empty", "jpeg", "magic", "cut", "zeros"],
)
def test_nothing_is_removed_when_the_body_is_not_in_the_coding(label: str, body: bytes) -> None:
    assert decode(body, codings_in([label.encode()]), 1_000_000) is None


def test_nothing_is_removed_when_there_are_absurdly_many_codings() -> None:
    assert decode(gzip.compress(TEXT, mtime=0), ("gzip",) * 5, None) is None


@pytest.mark.parametrize(
    ("url", "content_type", "plain"),
    [
        ("http://a/x.json", "", True),
        ("http://a/x.json?v=1.gz", "application/gzip", True),
        ("http://a/x.tar.gz", "application/json", False),
        ("http://a/x.NII.GZ", "", False),
        ("http://a/x.svgz", "image/svg+xml", False),
        ("http://a/x", "application/json", True),
        ("http://a/x", "application/gzip", False),
        ("http://a/x", "application/octet-stream", False),
        ("http://a/x", "", False),
    ],
)
def test_plain_file_is_told_by_the_suffix_then_the_type(
    url: str, content_type: str, plain: bool
) -> None:
    assert names_plain_file(url, content_type) is plain


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (_pack("brotli"), "br"),
        (TEXT, "gzip"),
        (TEXT, "UTF8"),
    ],
)
def test_rules_of_robots_txt_are_read_whatever_its_label(
    server: HttpServer, body: bytes, label: str
) -> None:
    server.add("/robots.txt", body, headers=[("Content-Encoding", label)])
    options = quick(robots_txt=True)

    assert fetch_one(server.add("/no", b"x"), options).cause is Cause.ROBOTS_TXT
    assert fetch_one(server.add("/yes", b"x"), options).body == b"x"


@pytest.mark.parametrize(
    "body", [gzip.compress(TEXT, mtime=0)[:-9], gzip.compress(bytes(9_000_000), mtime=0)]
)
def test_nothing_is_allowed_when_robots_txt_is_coded_and_can_not_be_read(
    server: HttpServer, body: bytes
) -> None:
    server.add("/robots.txt", body, headers=[("Content-Encoding", "gzip")])
    outcome = fetch_one(server.add("/yes", b"x"), quick(robots_txt=True))

    assert (outcome.cause, server.hits["/yes"]) == (Cause.ROBOTS_TXT, 0)
    assert "compressed in a way that cannot be read" in (outcome.message or "")
