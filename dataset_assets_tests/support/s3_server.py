"""Local S3 servers for tests: moto as a separate process, and a proxy that counts and delays.

    with MotoServer() as server:  # tests use the fixtures `moto` and `rclone`: one per session
        server.bucket("data")
        Store("s3://data/prefix", server.credentials)
        subprocess.run(..., env=os.environ | server.environment())
        with CountingProxy(server.url, latency_s=0.02) as proxy:
            Store("s3://data/prefix", replace(server.credentials, endpoint_url=proxy.url))
            proxy.requests["GET", "/data/prefix/key"], proxy.total, proxy.log

moto accepts every secret and keeps everything in memory: it tests functions, not security.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import pytest

from dataset_assets.storage.s3.credentials import S3Credentials

_START_S = 30.0
_SETTINGS = {
    "NO_COLOR": "1",
    "MOTO_S3_DEFAULT_MAX_KEYS": "50",  # short pages, so that lists have several
}
ACCESS_KEY, SECRET_KEY = "AKIATESTTESTTESTTEST", "test-secret-key-that-nobody-may-see"


class MotoServer:
    """moto's S3 as a separate process, so that forks of a test do not meet the server's threads."""

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=os.environ | _SETTINGS
        )
        self.url = self._wait_for_url()
        self.credentials = S3Credentials(
            source="test", endpoint_url=self.url, access_key=ACCESS_KEY, secret_key=SECRET_KEY
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _wait_for_url(self) -> str:
        end = time.monotonic() + _START_S
        while time.monotonic() < end and self._process.poll() is None:
            said = os.pread(self._log.fileno(), 10_000, 0).decode(errors="replace")
            for word in said.split():
                if word.startswith("http://127.0.0.1:"):
                    return word
            time.sleep(0.02)
        said = os.pread(self._log.fileno(), 10_000, 0).decode(errors="replace")
        self.__exit__()
        raise RuntimeError(f"moto's server did not start: {said}")

    def environment(self) -> dict[str, str]:
        """Return the variables with which a subprocess finds this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self):
        """Return a plain boto3 client, to check the server without the code under test."""
        import boto3  # not before a test needs it
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
        )

    def bucket(self, name: str) -> str:
        """Create a bucket unless it exists, and return its name."""
        client = self.client()
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="session")
def moto():
    """One server for all tests of a session: each test uses its own bucket or prefix."""
    with MotoServer() as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory):
    """The embedded server."""
    from dataset_assets.storage.embedded_s3 import EmbeddedS3

    with EmbeddedS3(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def swift(tmp_path_factory):
    """A strict server, for slow tests."""
    from dataset_assets_tests.support.swift_server import SwiftServer

    with SwiftServer(tmp_path_factory.mktemp("swift")) as server:
        yield server


class Request(NamedTuple):
    """One request as the proxy saw it."""

    method: str
    path: str  # decoded, without query
    query: str
    range: str  # value of the Range header, or ""


class CountingProxy:
    """A proxy in front of any S3 server.

    Signatures stay valid: the Host that the client signed is passed on. `requests` counts by
    (method, path), `log` has every request in order, `bytes_sent` the payload bytes of all answers.
    `latency_s` delays each request, and may be changed at any time.
    """

    def __init__(self, upstream_url: str, latency_s: float = 0.0) -> None:
        there = urlsplit(upstream_url)
        self._upstream = there.hostname or "127.0.0.1", there.port or 80
        self.latency_s = latency_s
        self._lock, self._open = threading.Lock(), set[socket.socket]()
        self.reset()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="counting-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *tuple(self._open)):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def reset(self) -> None:
        """Set the counts to zero."""
        with self._lock:
            self.requests: Counter[tuple[str, str]] = Counter()
            self.log: list[Request] = []
            self.bytes_sent = 0

    @property
    def total(self) -> int:
        """Number of requests."""
        return len(self.log)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        upstream: _Connection | None = None
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = client.makefile("rb")
            while head := _head(reader):
                body = _request_body(head, reader, client)
                self._count(head)
                time.sleep(self.latency_s)
                upstream = self._forward(upstream, _without_expect(head) + body)
                if not self._answer(upstream, client, head):
                    return
        except (OSError, ValueError):
            return  # one of the two has closed the connection
        finally:
            self._open.discard(client)
            client.close()
            if upstream is not None:
                upstream.close()

    def _count(self, head: bytes) -> None:
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        path, _, query = target.partition("?")
        request = Request(method, unquote(path), query, _header(head, b"range").decode())
        with self._lock:
            self.requests[method, request.path] += 1
            self.log.append(request)

    def _forward(self, upstream: "_Connection | None", request: bytes) -> "_Connection":
        if upstream is not None:
            with suppress(OSError):  # an idle connection that the server has closed meanwhile
                upstream.ask(request)
                if upstream.head:
                    return upstream
            upstream.close()
        upstream = _Connection(self._upstream)
        upstream.ask(request)
        return upstream

    def _answer(self, upstream: "_Connection", client: socket.socket, request: bytes) -> bool:
        client.sendall(upstream.head)
        if request.startswith(b"HEAD ") or upstream.head.split(b" ", 2)[1] in (b"204", b"304"):
            return bool(upstream.head)
        return _copy_body(upstream.head, upstream.reader, lambda data: self._send(client, data))

    def _send(self, client: socket.socket, data: bytes) -> None:
        client.sendall(data)
        with self._lock:
            self.bytes_sent += len(data)


class _Connection:
    """One connection to the server behind the proxy; `head` is that of the latest answer."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader, self.head = self._socket.makefile("rb"), b""

    def ask(self, request: bytes) -> None:
        """Send a request and read the head of its answer."""
        self.head = b""
        self._socket.sendall(request)
        self.head = _head(self.reader)

    def close(self) -> None:
        self.reader.close()
        self._socket.close()


def _head(reader: BinaryIO) -> bytes:
    lines = []
    while line := reader.readline():
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


def _without_expect(head: bytes) -> bytes:
    return b"\r\n".join(
        line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:")
    )


def _request_body(head: bytes, reader: BinaryIO, client: socket.socket) -> bytes:
    if _header(head, b"expect").lower() == b"100-continue":
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not _header(head, b"content-length") and not _header(head, b"transfer-encoding"):
        return b""
    parts: list[bytes] = []
    _copy_body(head, reader, parts.append)
    return b"".join(parts)


def _copy_body(head: bytes, reader: BinaryIO, send: Callable[[bytes], object]) -> bool:
    """Pass on the body that a head announces; tell whether the connection can be used again."""
    if _header(head, b"transfer-encoding").lower() == b"chunked":
        return _copy_chunks(reader, send)
    length = _header(head, b"content-length")
    left = int(length) if length else sys.maxsize
    while left:
        data = reader.read(min(left, 65536)) if length else reader.read1(65536)
        if not data:
            return False
        send(data)
        left -= len(data)
    return _header(head, b"connection").lower() != b"close"


def _copy_chunks(reader: BinaryIO, send: Callable[[bytes], object]) -> bool:
    while line := reader.readline():
        send(line)
        size = int(line.split(b";")[0], 16)
        send(reader.read(size + 2) if size else reader.readline())  # trailers are not used by S3
        if not size:
            return True
    return False
