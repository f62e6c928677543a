"""Endpoints that are no S3 servers: each operation ends soon, with one line."""

import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from dataset_assets.errors import StorageError
from dataset_assets.storage.s3.buckets import list_buckets
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets.storage.stores.s3 import Store

OPERATIONS = {
    "check_writable": lambda store: store.check_writable(),
    "list": lambda store: list(store.list()),
    "read": lambda store: store.read("a"),
    "open_read": lambda store: store.open_read("a").read(),
    "info": lambda store: store.info("a"),
    "write": lambda store: store.write("a", b"x"),
    "large write": lambda store: store.write("a", bytes(20 << 20)),
    "write_new": lambda store: store.write_new("a", b"x"),
    "sweep": lambda store: store.sweep(0),
    "delete_tree": lambda store: store.delete_tree("a"),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(self.command)
        kind = self.server.kind
        if kind == "hangs":
            self.server.closing.wait(60)
            return
        body = b"<html>hello</html>" if kind == "web server" else b""
        self.send_response({"redirects": 307, "moved": 301}.get(kind, 200))
        if kind in ("redirects", "moved"):
            self.send_header("Location", f"http://{self.headers['Host']}{self.path}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(request):
    """A server that is something else than S3, and the credentials to ask it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.kind = request.param
        server.requests = []
        server.closing = Event()
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield (
            server,
            S3Credentials(source="test", endpoint_url=url, access_key="AK", secret_key="s"),
        )
        server.closing.set()
        with suppress(OSError):
            server.shutdown()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "endpoint", ["redirects", "moved", "web server", "empty pages"], indirect=True
)
def test_another_server_is_told_from_s3_in_one_line(endpoint, operation):
    server, credentials = endpoint
    store = Store("s3://data/p", credentials)
    with pytest.raises(StorageError, match="does not answer as S3") as caught:
        OPERATIONS[operation](store)
    assert credentials.endpoint_url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.requests) <= 2


@pytest.mark.parametrize("endpoint", ["hangs"], indirect=True)
@pytest.mark.parametrize("operation", ["check_writable", "read", "buckets"])
def test_a_server_that_says_nothing_is_given_up_within_15_s(endpoint, operation):
    _, credentials = endpoint
    began = time.monotonic()
    store = Store("s3://data/p", credentials)
    act = OPERATIONS.get(operation, lambda _: list_buckets(credentials))
    with pytest.raises(StorageError, match=f"no answer from {credentials.endpoint_url}"):
        act(store)
    assert time.monotonic() - began < 15
