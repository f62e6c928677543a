"""TLS connections: always verified, reused, and failures with a cause."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from dataset_assets.fetch.client import Fetcher
from dataset_assets.fetch.options import default_ca_file
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Request
from dataset_assets_tests.fetch.conftest import fetch_one, quick
from dataset_assets_tests.support.http_server import HttpServer

AUTHORITY = trustme.CA()
STRANGER = trustme.CA()


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return str(path)


def _context(authority: trustme.CA = AUTHORITY, *names: str, **limits: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",)), **limits).configure_cert(context)
    return context


def _old_context() -> ssl.SSLContext:
    context = _context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.fixture
def secure() -> Iterator[HttpServer]:
    with HttpServer(tls=_context()) as running:
        yield running


def test_bodies_arrive_over_one_connection_when_the_certificate_is_good(
    secure: HttpServer, ca_file: str
) -> None:
    with Fetcher(quick(ca_file=ca_file, max_connections=1)) as fetcher:
        outcomes = list(fetcher.fetch(Request(secure.url(f"/bytes/1000?{n}")) for n in range(10)))

    assert {outcome.cause for outcome in outcomes} == {None}
    assert secure.connections == 1


def test_session_is_resumed_when_a_second_connection_is_made(
    secure: HttpServer, ca_file: str
) -> None:
    resumed = []

    async def handler(exchange) -> bool:
        resumed.append(exchange.is_resumed)
        exchange.close()
        return False

    secure.handler = handler
    with Fetcher(quick(ca_file=ca_file, max_connections=1)) as fetcher:
        list(fetcher.fetch(Request(secure.url(f"/bytes/10?{n}")) for n in range(4)))

    assert resumed == [False, True, True, True]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("context", "said"),
    [
        (lambda: _context(not_after=datetime.now(UTC) - timedelta(days=1)), "expired"),
        (
            lambda: _context(STRANGER),
            "self-signed certificate|unable to get local issuer|self signed",
        ),
        (lambda: _context(AUTHORITY, "other.example"), "subject name"),
        (_old_context, "unexpected eof|protocol|alert"),
    ],
    ids=["expired", "unknown issuer", "wrong host", "old version"],
)
def test_failure_is_named_and_not_repeated_when_the_connection_is_not_secure(
    context: Any, said: str, ca_file: str
) -> None:
    with HttpServer(tls=context()) as server:
        outcome = fetch_one(server.url("/bytes/10"), quick(ca_file=ca_file, retries=3))

    assert (outcome.cause, outcome.requests, server.requests) == (Cause.TLS_ERROR, 1, 0)
    assert outcome.message is not None
    assert any(word in outcome.message for word in said.split("|")), outcome.message
    assert "127.0.0.1" not in outcome.message


def test_certificate_is_not_checked_when_that_is_switched_off() -> None:
    with HttpServer(tls=_context(STRANGER)) as server:
        assert fetch_one(server.url("/bytes/10"), quick(verify_tls=False)).cause is None


def test_failure_is_named_when_the_server_does_not_speak_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        outcome = fetch_one(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()

    assert (outcome.cause, outcome.message) == (
        Cause.TLS_ERROR,
        "no secure connection: wrong version number",
    )


def test_redirect_to_plain_http_is_followed_and_counted_when_it_leaves_https(
    secure: HttpServer, server: HttpServer, ca_file: str
) -> None:
    secure.add("/x", status=302, headers=[("Location", server.url("/bytes/10"))])
    with Fetcher(quick(ca_file=ca_file)) as fetcher:
        outcomes = list(fetcher.fetch([Request(secure.url("/x"))]))

    assert ([outcome.cause for outcome in outcomes], fetcher.stats.insecure_redirects) == (
        [None],
        1,
    )


def test_headers_of_the_proxy_do_not_count_when_it_tunnels(
    secure: HttpServer, ca_file: str
) -> None:
    secure.add("/x", b"body", headers=[("Content-Type", "image/png")])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def tunnel() -> None:
            client, _ = listener.accept()
            with client, socket.create_connection(("127.0.0.1", secure.port)) as server:
                assert client.recv(1000).startswith(b"CONNECT 127.0.0.1:")
                client.sendall(b"HTTP/1.1 200 Connection established\r\nContent-Length: 7\r\n\r\n")
                back = threading.Thread(target=_copy, args=(server, client))
                back.start()
                _copy(client, server)
                back.join()

        thread = threading.Thread(target=tunnel)
        thread.start()
        outcome = fetch_one(
            secure.url("/x"),
            quick(ca_file=ca_file, proxy=f"http://127.0.0.1:{listener.getsockname()[1]}"),
        )
        thread.join()

    assert (outcome.body, outcome.http_status, outcome.content_type) == (b"body", 200, "image/png")


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    with suppress(OSError):  # the other side has closed already
        target.shutdown(socket.SHUT_WR)


def test_certificates_of_the_system_are_found_when_none_are_given() -> None:
    found = default_ca_file()

    assert found is not None
    assert "BEGIN CERTIFICATE" in Path(found).read_text(encoding="utf-8", errors="replace")
