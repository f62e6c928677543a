"""What is stored of a body: its bytes decide, not the headers that came with it."""

import asyncio
import gzip
import hashlib
import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from dataset_assets import download, download_any
from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.conftest import jpeg
from dataset_assets_tests.end_to_end.downloads import sidecar

JSON = json.dumps({"values": list(range(200))}).encode()
JSON_GZ = gzip.compress(JSON, mtime=0)
METADATA = re.compile(r"\d+\.json").fullmatch
CHOSEN = ("Vary", "Accept-Encoding")


def label(coding: str) -> tuple[str, str]:
    return ("Content-Encoding", coding)


def fetch(gallery, urls: list[str], *, media: str = "any", **options):
    """Download URLs as they are; return the rows and the stored files by key."""
    out = gallery.folder / "out"
    call = download_any if media == "any" else download
    report = call(urls, output_folder=str(out), distributor="serial", **options)
    return report, sidecar(out), stored(out)


def stored(out: Path) -> dict[str, bytes]:
    found = (out / "00000").glob("*")
    return {path.name: path.read_bytes() for path in found if not METADATA(path.name)}


@pytest.mark.parametrize(
    ("path", "body", "headers", "name"),
    [
        ("/a.tar.gz", JSON_GZ, [label("gzip")], "000000000.gz"),
        ("/a.tar.gz", JSON_GZ, [label("x-gzip"), CHOSEN], "000000000.gz"),
        ("/a.nii.gz", JSON_GZ, [label("gzip")], "000000000.gz"),
        ("/a.json", JSON_GZ, [label("gzip")], "000000000.gz"),
        ("/a.json", JSON, [label("gzip"), CHOSEN], "000000000.data.json"),
        ("/a.json", JSON, [label("br"), CHOSEN], "000000000.data.json"),
        ("/a.json", JSON_GZ[:-9], [label("gzip"), CHOSEN], "000000000.gz"),
        ("/a.mp4", b"\0\0\0\x18ftypmp42", [label("aws-chunked")], "000000000.mp4"),
        ("/a.mp4", b"\0\0\0\x18ftypmp42", [label("UTF8")], "000000000.mp4"),
        ("/a.jpg", jpeg(1), [label("gzip")], "000000000.jpg"),
    ],
)
def test_file_is_stored_as_received_whatever_its_label(gallery, path, body, headers, name):
    url = gallery.server.add(path, body, headers=headers)
    report, rows, files = fetch(gallery, [url])
    assert (report.successes, files) == (1, {name: body})
    assert rows[0]["md5"] == hashlib.md5(body).hexdigest()


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/a.json", "application/json"), ("/a", "application/json"), ("/a.json", "text/plain")],
)
@pytest.mark.parametrize("codec", ["gzip", "brotli", "zstd"])
def test_file_is_what_was_compressed_when_the_server_chose_to_compress_a_plain_one(
    gallery, path, content_type, codec
):
    body = pa.compress(JSON, codec, asbytes=True)
    coding = {"brotli": "br"}.get(codec, codec)
    headers = [label(coding), CHOSEN]
    url = gallery.server.add(path, body, content_type=content_type, headers=headers)
    _, rows, files = fetch(gallery, [url])
    assert list(files.values()) == [JSON]
    assert rows[0]["md5"] == hashlib.md5(JSON).hexdigest()


def test_file_fails_when_it_is_larger_than_allowed_once_it_is_not_compressed(gallery):
    headers = [label("gzip"), CHOSEN]
    url = gallery.server.add("/a.json", gzip.compress(bytes(200_000), mtime=0), headers=headers)
    report, rows, files = fetch(gallery, [url], max_bytes=100_000)
    assert (report.causes, files) == ({"too_large": 1}, {})
    assert "content coding" in rows[0]["error_message"]


@pytest.mark.parametrize("headers", [[label("gzip")], [label("gzip"), CHOSEN]])
def test_image_is_what_was_compressed_when_its_bytes_are_in_the_coding(gallery, headers):
    plain = gallery.url(1)
    packed = gallery.server.add("/p.jpg", gzip.compress(jpeg(1), mtime=0), headers=headers)
    report, rows, files = fetch(gallery, [plain, packed], media="image")
    assert report.successes == 2
    assert files["000000000.jpg"] == files["000000001.jpg"]
    assert rows[0]["sha256"] == rows[1]["sha256"] == hashlib.sha256(jpeg(1)).hexdigest()


def test_image_is_kept_as_a_file_that_opens_when_nothing_is_encoded_again(gallery):
    url = gallery.server.add("/p.jpg", gzip.compress(jpeg(1), mtime=0), headers=[label("gzip")])
    _, _, files = fetch(gallery, [url], media="image", disable_all_reencoding=True)
    assert files == {"000000000.jpg": jpeg(1)}


@pytest.mark.parametrize("coding", ["gzip", "br", "aws-chunked", "UTF8", "gzip, aws-chunked"])
def test_image_is_read_when_its_label_is_wrong(gallery, coding):
    url = gallery.server.add("/a.jpg", jpeg(1), headers=[label(coding)])
    report, _, _ = fetch(gallery, [url], media="image")
    assert (report.successes, report.causes) == (1, {})


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (gzip.compress(b"<html>sorry</html>", mtime=0), "not_image"),
        (gzip.compress(jpeg(1), mtime=0)[:-20], "not_image"),
        (gzip.compress(bytes(200_000), mtime=0), "too_large"),
        (b"<html>sorry</html>", "not_image"),
    ],
    ids=["packed page", "cut image", "packed zeros", "page"],
)
def test_row_has_its_cause_when_a_coded_body_is_no_image(gallery, body, cause):
    url = gallery.server.add("/a.jpg", body, headers=[label("gzip")])
    report, _, _ = fetch(gallery, [url], media="image", max_bytes=100_000)
    assert report.causes == {cause: 1}


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream"])
def test_file_is_named_by_its_url_when_its_type_says_little(gallery, content_type):
    names = ["a.csv", "a.py", "a.vtt", "a.srt", "a.json", "a.obj", "a.csv;jsessionid=1"]
    urls = [gallery.server.add(f"/{n}", b"a,b\n1,2", content_type=content_type) for n in names]
    _, rows, files = fetch(gallery, urls)
    assert [row["extension"] for row in rows] == ["csv", "py", "vtt", "srt", "json", "obj", "csv"]
    assert len(files) == len(names)


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(jpeg(1))).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "PPM"])
def test_image_is_made_from_every_format_that_the_codec_decodes(gallery, kind):
    url = gallery.server.add("/a", picture(kind), content_type="image/jpeg")
    report, rows, files = fetch(gallery, [url], media="image", resize_mode="no")
    assert (report.successes, rows[0]["extension"]) == (1, "jpg")
    size = Image.open(io.BytesIO(jpeg(1))).size
    assert Image.open(io.BytesIO(files["000000000.jpg"])).size == size


def test_only_the_named_formats_are_accepted(gallery):
    kinds = ("AVIF", "JPEG2000", "PPM", "JPEG")
    urls = [gallery.server.add(f"/{kind}", picture(kind)) for kind in kinds]
    _, rows, _ = fetch(gallery, urls, media="image", formats=["jpeg", "avif"])
    assert [row["cause"] for row in rows] == [None, *["unsupported_format"] * 2, None]
    assert rows[1]["error_message"] == "image/jp2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"formats": ["heic"]}, "formats: expected one of jpeg, png, .*, got 'heic'"),
        ({"formats": "jpg"}, "got 'jpg'; did you mean 'jpeg'"),
        ({"formats": []}, "formats: expected a tuple of names out of jpeg"),
        ({"formats": ["png"], "media": "any"}, "formats: expected none with media='any'"),
    ],
)
def test_format_is_refused_by_name_before_the_first_request(gallery, options, said):
    with pytest.raises(ConfigurationError, match=said):
        download([gallery.url(1)], output_folder=str(gallery.folder / "out"), **options)
    assert gallery.server.requests == 0


def steadily(gallery, size: int, pause_s: float) -> str:
    """Serve a file in 20 equal parts with a pause before each; return its URL."""

    async def handler(exchange) -> bool:
        if exchange.path != "/steady.mp4":
            return False
        await exchange.head(200, [("Content-Length", str(20 * size))])
        for _ in range(20):
            await asyncio.sleep(pause_s)
            await exchange.send(bytes(size))
        return True

    gallery.server.handler = handler
    return gallery.server.url("/steady.mp4")


def test_file_of_any_kind_is_fetched_when_it_comes_steadily_for_long(gallery):
    url = steadily(gallery, 175_000, 0.1)  # 1.75 MB/s for 2 s
    report, _, files = fetch(gallery, [url], timeout=0.4)
    assert (report.causes, [len(body) for body in files.values()]) == ({}, [3_500_000])


@pytest.mark.parametrize(
    ("limit", "cause"),
    [
        ({"total_timeout": 1}, "timeout_total"),
        ({"max_bytes": 1_000_000}, "too_large"),
        ({"timeout": 0.05}, "timeout_first_byte"),
        ({"media": "image"}, "timeout_total"),
    ],
)
def test_limit_of_the_caller_binds_for_files_of_any_kind(gallery, limit, cause):
    url = steadily(gallery, 175_000, 0.1)
    if cause == "timeout_first_byte":
        url = gallery.server.url("/slow/1/100")
    report, _, _ = fetch(gallery, [url], **{"timeout": 0.4, **limit})
    assert report.causes == {cause: 1}


@pytest.mark.parametrize(("media", "causes"), [("any", {}), ("image", {"too_large": 1})])
def test_file_of_any_kind_may_have_more_than_64_mib(gallery, media, causes):
    url = gallery.server.add("/a.mp4", bytes((64 << 20) + 1))
    report, _, _ = fetch(gallery, [url], media=media, output_format="webdataset")
    assert report.causes == causes


@pytest.mark.parametrize("output_format", ["files", "webdataset", "parquet", "tfrecord"])
@pytest.mark.parametrize("layout", ["dataset_assets", "img2dataset"])
def test_empty_file_is_a_file_among_files_of_any_kind(gallery, output_format, layout):
    add = gallery.server.add
    urls = [add("/a.csv"), add("/b.csv", b"x"), add("/c.csv", headers=[label("gzip"), CHOSEN])]
    out = gallery.folder / "out"
    options = {"output_format": output_format, "layout": layout, "distributor": "serial"}
    report = download_any(urls, output_folder=str(out), **options)
    rows = sidecar(out)
    assert (report.successes, report.causes) == (3, {})
    assert [row["md5"] for row in rows] == [
        hashlib.md5(body).hexdigest() for body in (b"", b"x", b"")
    ]
    if layout == "dataset_assets":
        assert verify_set(open_store(str(out))) == []
    if output_format == "files":
        assert sorted(stored(out).items())[0] == ("000000000.csv", b"")
    if output_format == "parquet":
        assert [row["bin"] for row in rows] == [b"", b"x", b""]


@pytest.mark.parametrize(
    ("path", "status", "cause"),
    [
        ("/a", 201, "empty_body"),
        ("/a", 202, "empty_body"),
        ("/a", 204, "http_client_error"),
        ("/cut", 200, "empty_body"),
    ],
)
def test_nothing_is_no_empty_file_when_the_response_does_not_say_so(gallery, path, status, cause):
    async def handler(exchange) -> bool:
        if exchange.path == "/cut":
            await exchange.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            exchange.close()
        return exchange.path == "/cut"

    gallery.server.handler = handler
    gallery.server.add("/a", status=status)
    report, _, _ = fetch(gallery, [gallery.server.url(path)])
    assert report.causes == {cause: 1}


def test_empty_body_is_no_image(gallery):
    report, _, _ = fetch(gallery, [gallery.server.add("/a.jpg")], media="image")
    assert report.causes == {"empty_body": 1}
