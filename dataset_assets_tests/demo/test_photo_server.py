"""Over real sockets: the server runs as the demo runs it, in a process of its own."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from PIL import Image

from dataset_assets.demo.crops import encode
from dataset_assets.demo.faults import KINDS
from dataset_assets.demo.lists import HOST, url_table
from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets.demo.photos import Crop
from dataset_assets.demo.shapes import archives
from dataset_assets.errors import ConfigurationError

CROP = Crop("coffee", 80, 10, 400, 300, "jpg")


@pytest.fixture(scope="module")
def server():
    with PhotoServer(port=0) as running:
        yield running


def _get(server, path):
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def _raw(server, request, *, until=1 << 30):
    """Send bytes; return what comes until the server closes, or `until` bytes came."""
    received = b""
    with socket.create_connection((HOST, server.port), timeout=10) as connection:
        connection.sendall(request)
        while len(received) < until and (data := connection.recv(65536)):
            received += data
    return received


def _drain(connection):
    while connection.recv(65536):
        pass


def _ask(path):
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def _ask_range(path, wanted):
    fields = f"Host: {HOST}\r\nRange: {wanted}\r\nConnection: close"
    return f"GET {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode()


def _split(received):
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode(), body


def _is_closed(server, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection((HOST, server), timeout=1).close()
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_photograph_is_served_when_asked_for(server, extension):
    crop = Crop("china", 70, 25, 300, 400, extension)
    status, headers, body = _get(server, f"/photos/{crop.path}")
    assert (status, headers["Content-Type"]) == (
        200,
        {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}[extension],
    )
    assert body == encode(crop)
    with Image.open(BytesIO(body)) as image:
        image.load()
        assert image.size == (300, 400)


def test_every_kind_has_a_test_when_listed():
    tested = {
        "photos",
        "moved",
        "late",
        "missing",
        "gone",
        "forbidden",
        "busy",
        "limited",
        "drip",
        "cut",
        "torn",
        "html",
        "optout",
    }
    assert set(KINDS) == tested | {"loop", "empty", "oversize", "private", "reset"}


@pytest.mark.parametrize(("kind", "status"), [("missing", 404), ("gone", 410), ("forbidden", 403)])
def test_status_says_no_when_the_kind_is_an_error(server, kind, status):
    assert [_get(server, f"/{kind}/{CROP.path}")[0] for _ in range(2)] == [status, status]


@pytest.mark.parametrize(
    ("kind", "status", "retry_after"), [("busy", 503, None), ("limited", 429, "1")]
)
def test_second_answer_is_the_photograph_when_the_first_asks_to_wait(
    server, kind, status, retry_after
):
    first, headers, _ = _get(server, f"/{kind}/{CROP.path}")
    assert (first, headers["Retry-After"]) == (status, retry_after)
    assert _get(server, f"/{kind}/{CROP.path}")[::2] == (200, encode(CROP))


def test_redirect_leads_to_the_photograph_when_moved(server):
    status, headers, _ = _get(server, f"/moved/{CROP.path}")
    assert status == 302
    assert _get(server, headers["Location"])[::2] == (200, encode(CROP))


def test_redirect_leads_to_itself_when_looping(server):
    status, headers, _ = _get(server, f"/loop/{CROP.path}")
    assert (status, headers["Location"]) == (302, f"/loop/{CROP.path}")


def test_body_comes_in_pieces_when_late(server):
    started = time.monotonic()
    assert _get(server, f"/late/{CROP.path}")[::2] == (200, encode(CROP))
    assert time.monotonic() - started > 1


def test_body_drips_when_slow(server):
    started = time.monotonic()
    head, body = _split(_raw(server, _ask(f"/drip/{CROP.path}"), until=160))
    assert f"Content-Length: {len(encode(CROP))}" in head
    assert encode(CROP).startswith(body)
    assert len(body) / (time.monotonic() - started) < 500


def test_connection_ends_within_the_body_when_cut(server):
    head, body = _split(_raw(server, _ask(f"/cut/{CROP.path}")))
    whole = encode(CROP)
    assert f"Content-Length: {len(whole)}" in head
    assert body == whole[: len(whole) // 2]


def test_image_ends_early_under_its_own_length_when_torn(server):
    status, _, body = _get(server, f"/torn/{CROP.path}")
    assert (status, body) == (200, encode(CROP)[: len(encode(CROP)) // 2])
    with pytest.raises(OSError, match="truncated"):
        Image.open(BytesIO(body)).load()


def test_body_is_a_page_when_html(server):
    status, headers, body = _get(server, f"/html/{CROP.path}")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert body.startswith(b"<!DOCTYPE html>")


def test_opt_out_is_said_beside_the_photograph_when_opted_out(server):
    status, headers, body = _get(server, f"/optout/{CROP.path}")
    assert (status, headers["X-Robots-Tag"], body) == (200, "noai, noimageai", encode(CROP))


def test_body_has_no_bytes_when_empty(server):
    assert _get(server, f"/empty/{CROP.path}")[::2] == (200, b"")


def test_declared_length_is_huge_when_oversize(server):
    head, body = _split(_raw(server, _ask(f"/oversize/{CROP.path}")))
    assert "Content-Length: 10000000000" in head
    assert len(body) == 1000


def test_connection_is_reset_within_the_body_when_resetting(server):
    with socket.create_connection((HOST, server.port), timeout=10) as connection:
        connection.sendall(_ask(f"/reset/{CROP.path}"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        with pytest.raises(ConnectionResetError):
            _drain(connection)


def test_robots_txt_forbids_the_private_photographs_when_asked(server):
    status, headers, body = _get(server, "/robots.txt")
    assert (status, headers["Content-Type"]) == (200, "text/plain")
    assert b"Disallow: /private/\n" in body
    assert _get(server, f"/private/{CROP.path}")[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/photos", "/photos/teapot/0-0-1x1.jpg", "/other/" + CROP.path, "/photos/../robots.txt"],
)
def test_answer_is_404_when_nothing_is_there(server, path):
    assert _get(server, path)[0] == 404


def test_connection_is_kept_when_http_1_1(server):
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    local = set()
    for kind in ("photos", "missing", "late", "empty", "photos"):
        connection.request("GET", f"/{kind}/{CROP.path}")
        connection.getresponse().read()
        local.add(connection.sock.getsockname())
    connection.close()
    assert len(local) == 1


@pytest.mark.parametrize(
    "request_head",
    ["GET {} HTTP/1.0\r\n\r\n", "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
)
def test_connection_is_closed_when_the_client_asks(server, request_head):
    received = _raw(server, request_head.format(f"/photos/{CROP.path}").encode())
    assert _split(received)[1] == encode(CROP)


def test_answers_stand_in_order_when_requests_are_pipelined(server):
    other = Crop("flower", 165, 80, 280, 280, "jpg")
    last = f"GET /empty/{CROP.path} HTTP/1.0\r\n\r\n".encode()
    received = _raw(server, _ask(f"/late/{CROP.path}") + _ask(f"/photos/{other.path}") + last)
    assert received.index(encode(CROP)) < received.index(encode(other))
    assert received.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "request_bytes",
    [b"POST /photos HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"x" * 70_000],
)
def test_connection_is_closed_when_the_request_makes_no_sense(server, request_bytes):
    received = _raw(server, request_bytes)
    assert received.startswith(b"HTTP/1.1 405") or not received
    assert _get(server, f"/photos/{CROP.path}")[0] == 200


def test_requests_are_counted_by_kind_when_made():
    with PhotoServer(port=0) as counted:
        assert counted.stats() == {"requests": 0, "by_kind": {}}
        for path in (
            f"/photos/{CROP.path}",
            f"/photos/{CROP.path}",
            f"/missing/{CROP.path}",
            "/robots.txt",
            "/nothing/here",
        ):
            _get(counted, path)
        assert counted.stats() == {
            "requests": 5,
            "by_kind": {"photos": 2, "missing": 1, "robots.txt": 1, "unknown": 1},
        }


def test_all_listed_photographs_decode_when_fetched_over_one_connection(server):
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    paths = [urlsplit(url).path for url in url_table()["url"].to_pylist()[::10]]
    for path in (path for path in paths if path.startswith("/photos/")):
        connection.request("GET", path)
        body = connection.getresponse().read()
        crop = Crop.parse(path.removeprefix("/photos/"))
        with Image.open(BytesIO(body)) as image:
            assert image.size == (crop.width, crop.height)
    connection.close()


def test_start_explains_when_the_port_is_taken(server):
    with pytest.raises(ConfigurationError, match=rf"port {server.port} on 127.0.0.1 is in use"):
        PhotoServer(server.port).start()


def test_port_is_free_again_when_stopped():
    with PhotoServer(port=0) as first:
        _get(first, f"/photos/{CROP.path}")
    with PhotoServer(first.port) as second:
        assert second.port == first.port
    second.stop()
    assert _is_closed(second.port, 1)


def test_server_ends_when_its_parent_is_killed():
    code = (
        "import time; from dataset_assets.demo.photo_server import PhotoServer; "
        "server = PhotoServer(0).start(); print(server.port, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        port = int(parent.stdout.readline())
        assert not _is_closed(port, 0.1)
        parent.kill()
    assert _is_closed(port, 10)


def test_server_says_where_it_is_and_ends_well_when_run_alone():
    command = [sys.executable, "-m", "dataset_assets.demo.photo_server", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as alone:
        port = urlsplit(alone.stderr.readline().split()[2].rstrip(",")).port
        connection = http.client.HTTPConnection(HOST, port, timeout=10)
        connection.request("GET", "/robots.txt")
        assert connection.getresponse().status == 200
        connection.close()
        os.kill(alone.pid, signal.SIGTERM)
        assert alone.wait(10) == 0
        assert alone.stderr.read() == ""


def test_archives_are_served_whole_and_in_ranges(server):
    whole = archives()["val2017.zip"]
    assert _get(server, "/shapes/val2017.zip")[2] == whole
    size = len(whole)
    for wanted, first, last in (
        ("bytes=0-99", 0, 99),
        (f"bytes={size - 10}-", size - 10, size - 1),
        (f"bytes=100-{size * 2}", 100, size - 1),
    ):
        head, body = _split(_raw(server, _ask_range("/shapes/val2017.zip", wanted)))
        assert head.startswith("HTTP/1.1 206 ")
        assert f"Content-Range: bytes {first}-{last}/{size}" in head
        assert body == whole[first : last + 1]
    head, _ = _split(_raw(server, _ask_range("/shapes/val2017.zip", f"bytes={size}-")))
    assert head.startswith("HTTP/1.1 416 ")
    assert _get(server, "/shapes/other.zip")[0] == 404
