"""Requests through a proxy: whose it is, what it must not be asked, and how it fails."""

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.client import Fetcher
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.fetch.proxies import Proxies
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Request
from dataset_assets_tests.fetch.conftest import fetch_all, fetch_one, quick
from dataset_assets_tests.support.http_server import HttpServer
from dataset_assets_tests.support.proxy_server import ProxyServer

NAME = "photos.example"


def _no_lookup(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host}:{port} was looked up here")


def _through(proxy: str | None, **changes) -> FetchOptions:
    return quick(proxy=proxy, allow_private_networks=(), **changes)


@pytest.fixture
def proxy(server: HttpServer) -> Iterator[ProxyServer]:
    with ProxyServer({NAME: server.port}) as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, str]:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made, str(tmp_path / "ca.pem")


@pytest.fixture
def secure(authority) -> Iterator[HttpServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert(NAME).configure_cert(context)
    with HttpServer(tls=context) as running:
        yield running


# which proxy


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_proxy_of_the_environment_gets_the_request_and_looks_up_the_name(
    name: str, proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy.url())

    outcome = fetch_one(f"http://{NAME}/bytes/10", _through(None), lookup=_no_lookup)

    assert (outcome.cause, len(outcome.body or b"")) == (None, 10)
    assert proxy.log == [f"GET http://{NAME}/bytes/10"]


def test_https_is_tunneled_and_verified(secure: HttpServer, authority) -> None:
    with ProxyServer({NAME: secure.port}) as proxy:
        options = _through(proxy.url(), ca_file=authority[1], max_connections=1)
        outcomes = fetch_all(
            [f"https://{NAME}/bytes/{n}" for n in (5, 6, 7)], options, lookup=_no_lookup
        )
        stranger = fetch_one(f"https://{NAME}/bytes/5", _through(proxy.url()), lookup=_no_lookup)

    assert [len(outcome.body or b"") for outcome in outcomes] == [5, 6, 7]
    assert proxy.log[0] == f"CONNECT {NAME}:443"
    assert len(proxy.log) == 2  # one tunnel for all, and the one that is not trusted
    assert stranger.cause is Cause.TLS_ERROR
    assert "proxy" not in (stranger.message or "")


def test_only_hosts_outside_no_proxy_go_through_the_proxy(
    server: HttpServer, proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url())
    monkeypatch.setenv("no_proxy", "other.example, .direct.example")
    direct = f"http://a.direct.example:{server.port}/bytes/3"

    outcomes = fetch_all(
        [f"http://{NAME}/bytes/4", direct], quick(), lookup=lambda *_: ["127.0.0.1"]
    )

    assert [len(outcome.body or b"") for outcome in outcomes] == [4, 3]
    assert proxy.log == [f"GET http://{NAME}/bytes/4"]
    refused = fetch_one(direct, _through(None), lookup=lambda *_: ["127.0.0.1"])
    assert refused.cause is Cause.BLOCKED_ADDRESS


def test_environment_is_not_used_when_the_option_is_empty(
    server: HttpServer, proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url())
    url = f"http://{NAME}:{server.port}/bytes/3"

    outcome = fetch_one(url, quick(proxy=""), lookup=lambda *_: ["127.0.0.1"])

    assert (outcome.cause, proxy.log) == (None, [])


@pytest.mark.parametrize(
    ("variables", "origin", "expected"),
    [
        ({"http_proxy": "http://p:1"}, ("http", "a.b", 80), "http://p:1"),
        ({"http_proxy": "p:1"}, ("http", "a.b", 80), "http://p:1"),
        ({"http_proxy": "http://p/"}, ("http", "a.b", 80), "http://p:80"),
        ({"http_proxy": "http://p:1"}, ("https", "a.b", 443), ""),
        ({"https_proxy": "http://p:1", "all_proxy": "q:1"}, ("https", "a.b", 443), "http://p:1"),
        ({"https_proxy": "http://p:1", "all_proxy": "q:1"}, ("http", "a.b", 80), "http://q:1"),
        ({"http_proxy": "", "HTTP_PROXY": "p:1", "all_proxy": "p:1"}, ("http", "a.b", 80), ""),
        ({"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, ("http", "a.b", 80), ""),
        ({"all_proxy": "socks5://u:p@p"}, ("http", "a.b", 80), "socks5h://u:p@p:1080"),
        ({"http_proxy": "p:1"}, ("http", "localhost", 80), ""),
        ({"http_proxy": "p:1"}, ("http", "127.0.0.1", 80), ""),
        ({"http_proxy": "p:1", "no_proxy": "*"}, ("http", "a.b", 80), ""),
        ({"http_proxy": "p:1", "NO_PROXY": "x,a.b"}, ("http", "www.a.b", 80), ""),
        ({"http_proxy": "p:1", "no_proxy": "*.a.b"}, ("http", "www.a.b.", 80), ""),
        ({"http_proxy": "p:1", "no_proxy": "a.b"}, ("http", "xa.b", 80), "http://p:1"),
        ({"http_proxy": "p:1", "no_proxy": "a.b:81"}, ("http", "a.b", 80), "http://p:1"),
        ({"http_proxy": "p:1", "no_proxy": "a.b:81"}, ("http", "a.b", 81), ""),
        ({"http_proxy": "p:1", "no_proxy": "10.0.0.0/8"}, ("http", "10.1.2.3", 80), ""),
        ({"http_proxy": "p:1", "no_proxy": "10.0.0.0/8"}, ("http", "11.1.2.3", 80), "http://p:1"),
        ({"http_proxy": "p:1", "no_proxy": "[fd00::1]:81"}, ("http", "fd00::1", 81), ""),
        ({"http_proxy": "p:1", "no_proxy": "fd00::/8"}, ("http", "fd00::1", 80), ""),
    ],
)
def test_variables_mean_what_they_mean_to_curl(variables, origin, expected: str) -> None:
    assert Proxies(None, variables).of(*origin) == expected


def test_given_proxy_is_for_all_hosts() -> None:
    proxies = Proxies("http://p:1", {"no_proxy": "*", "http_proxy": "q:1"})

    assert proxies.of("http", "localhost", 80) == "http://p:1"
    assert not Proxies("", {"http_proxy": "q:1"}).is_used


@pytest.mark.parametrize(
    "value",
    ["ftp://me:canary@p:1", "http://me:can/ary@p:1", "http://p:canary", "http://p/canary.pac"],
)
def test_variable_is_named_and_its_value_is_not_when_it_is_no_proxy(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^HTTPS_PROXY: expected a URL such as") as caught:
        Proxies(None, {"HTTPS_PROXY": value})

    assert "canary" not in str(caught.value)


def test_password_is_in_no_text_of_options_and_proxies() -> None:
    url = "http://me:canary@p:1"

    assert "canary" not in repr(FetchOptions(proxy=url))
    assert str(Proxies(None, {"http_proxy": url, "https_proxy": "q:2"})) == "p:1, q:2"


# what it must not be asked


@pytest.mark.parametrize(
    "host",
    [
        *("10.0.0.1", "169.254.169.254", "[::1]", "0x7f.1", "2130706433", "127.0.0.1."),
        *("localhost", "a.localhost", "LOCALHOST.", "intranet", "metadata.google.internal"),
        *("printer.local", "db.corp", "nas.home.arpa", "localhost.localdomain"),
    ],
)
def test_private_host_is_not_asked_of_the_proxy(host: str, proxy: ProxyServer) -> None:
    outcome = fetch_one(f"http://{host}/x", _through(proxy.url()), lookup=_no_lookup)

    assert (outcome.cause, proxy.log) == (Cause.BLOCKED_ADDRESS, [])


def test_private_host_is_asked_of_the_proxy_when_that_is_allowed(server: HttpServer) -> None:
    with ProxyServer({"db.corp": server.port, "localhost": server.port}) as proxy:
        everything = quick(proxy=proxy.url(), allow_private_networks=("all",))
        assert fetch_one("http://db.corp/bytes/3", everything, lookup=_no_lookup).cause is None
        of_loopback = quick(proxy=proxy.url())
        assert fetch_one("http://localhost/bytes/3", of_loopback, lookup=_no_lookup).cause is None


def test_redirect_to_a_private_host_is_not_asked_of_the_proxy(
    server: HttpServer, proxy: ProxyServer
) -> None:
    server.add("/go", status=302, headers=[("Location", "http://192.168.0.1/secret")])

    outcome = fetch_one(f"http://{NAME}/go", _through(proxy.url()), lookup=_no_lookup)

    assert (outcome.cause, len(proxy.log)) == (Cause.BLOCKED_ADDRESS, 1)


# how it fails


def test_user_and_password_are_sent_to_the_proxy_only(
    server: HttpServer, secure, authority
) -> None:
    hosts = {NAME: server.port, "secure.example": secure.port}
    with ProxyServer(hosts, login="me:p@ss") as proxy:
        right = _through(proxy.url("me:p%40ss"), ca_file=authority[1])
        assert fetch_one(f"http://{NAME}/bytes/3", right, lookup=_no_lookup).cause is None
        wrong = _through(proxy.url("me:canary"))
        outcomes = fetch_all(
            [f"http://{NAME}/bytes/3", "https://secure.example/x"], wrong, lookup=_no_lookup
        )

    assert "proxy-authorization" not in server.log[0].headers
    said = "the proxy refused the request: 407 Proxy Authentication Required"
    assert [(outcome.cause, outcome.message) for outcome in outcomes] == [
        (Cause.PROXY_ERROR, said)
    ] * 2
    assert "canary" not in repr(outcomes)


@pytest.mark.parametrize("status", [403, 502, 503])
def test_proxy_is_at_fault_when_it_makes_no_tunnel(status: int) -> None:
    with ProxyServer({}, answer=status) as proxy:
        outcome = fetch_one(f"https://{NAME}/x", _through(proxy.url()), lookup=_no_lookup)

    assert outcome.cause is Cause.PROXY_ERROR
    assert (outcome.message or "").startswith(f"the proxy refused the request: {status} ")
    assert outcome.http_status == 0


def test_host_is_at_fault_when_the_proxy_passes_on_its_407(secure: HttpServer, authority) -> None:
    with ProxyServer({NAME: secure.port}) as proxy:
        outcome = fetch_one(
            f"https://{NAME}/status/407",
            _through(proxy.url(), ca_file=authority[1]),
            lookup=_no_lookup,
        )

    assert outcome.cause is Cause.HTTP_FORBIDDEN


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_host_is_given_up_when_the_proxy_is_down(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    urls = [f"{scheme}://{NAME}/{number}" for number in range(40)]

    outcomes = fetch_all(urls, _through(f"http://127.0.0.1:{port}"), lookup=_no_lookup)

    assert {(outcome.cause, outcome.message) for outcome in outcomes} == {
        (Cause.PROXY_ERROR, "the proxy refused the connection")
    }


def test_host_has_not_answered_when_the_proxy_waits_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        outcome = fetch_one(f"https://{NAME}/x", _through(proxy), lookup=_no_lookup)

    assert outcome.cause is Cause.TIMEOUT_CONNECT
    assert outcome.message == "timed out while the proxy connected to the host"


def test_proxy_is_named_when_it_closes_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = threading.Thread(target=lambda: [listener.accept()[0].close() for _ in range(4)])
        accepted.start()
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        urls = [f"https://{NAME}/{number}" for number in range(4)]
        outcomes = fetch_all(urls, _through(proxy), lookup=_no_lookup)
        accepted.join()

    assert {(outcome.cause, outcome.message) for outcome in outcomes} == {
        (Cause.PROXY_ERROR, "the proxy closed the connection")
    }


def test_proxy_whose_name_does_not_exist_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = _through("http://me:canary@proxy.invalid:3128", timeout_s=5)

    outcome = fetch_one(f"http://{NAME}/x", options, lookup=_no_lookup)

    assert outcome.cause is Cause.PROXY_ERROR
    assert outcome.message == "the host name of the proxy could not be looked up"
    assert "canary" not in caplog.text + repr(outcome)


def test_robots_txt_is_not_taken_as_absent_when_the_proxy_refuses(server: HttpServer) -> None:
    with ProxyServer({NAME: server.port}, login="me:secret") as proxy:
        options = _through(proxy.url(), robots_txt=True)
        outcome = fetch_one(f"http://{NAME}/bytes/3", options, lookup=_no_lookup)

    assert outcome.cause is Cause.PROXY_ERROR
    assert proxy.log == [f"GET http://{NAME}/robots.txt"]


def test_environment_of_the_moment_counts_for_each_fetcher(
    proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://{NAME}/bytes/3"
    with Fetcher(quick(), lookup=lambda *_: ["192.0.2.1"]) as fetcher:
        assert next(fetcher.fetch([Request(url)])).cause is Cause.BLOCKED_ADDRESS
    monkeypatch.setenv("http_proxy", proxy.url())
    assert fetch_one(url, lookup=_no_lookup).cause is None
