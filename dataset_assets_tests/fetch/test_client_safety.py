"""Addresses, ports, schemes and proxies that are refused, and credentials that must not leak."""

from collections import Counter
from collections.abc import Iterator

import pytest

from dataset_assets.fetch.client import Fetcher
from dataset_assets.fetch.hosts import resolver as _resolver
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Request
from dataset_assets_tests.fetch.conftest import fetch_all, fetch_one, quick
from dataset_assets_tests.support.http_server import HttpServer

PRIVATE_HOSTS = [
    *(
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "localhost",
    ),
    *(
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[::127.0.0.1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
    ),
    *(
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.8",
    ),
    *("224.0.0.1", "255.255.255.255", "198.18.0.1", "192.88.99.1", "metadata.google.internal"),
]


def _lookup(host: str, port: int) -> list[str]:
    return {"localhost": ["127.0.0.1", "::1"], "metadata.google.internal": ["169.254.169.254"]}.get(
        host.rstrip("."), ["127.0.0.1"]
    )


@pytest.fixture
def both() -> Iterator[list[HttpServer]]:
    """Servers on 127.0.0.1 and 127.0.0.2."""
    with HttpServer() as first, HttpServer(host="127.0.0.2") as second:
        yield [first, second]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_no_connection_is_made_when_a_host_is_not_public(server: HttpServer, host: str) -> None:
    outcome = fetch_one(
        f"http://{host}:{server.port}/bytes/10", FetchOptions(timeout_s=1), lookup=_lookup
    )

    assert (outcome.cause, outcome.http_status) == (Cause.BLOCKED_ADDRESS, 0)
    assert server.connections == 0


def test_no_connection_is_made_when_a_name_turns_private_after_it_was_checked(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = _resolver.Resolution(
        expires=float("inf"), pin=f"+rebound.example:{server.port}:127.0.0.1"
    )
    monkeypatch.setattr(_resolver.Resolver, "_resolve", lambda *_: trusting)
    outcome = fetch_one(
        f"http://rebound.example:{server.port}/bytes/10", FetchOptions(timeout_s=1), lookup=_lookup
    )

    assert outcome.cause is Cause.BLOCKED_ADDRESS
    assert server.connections == 0


def test_only_allowed_addresses_are_tried_when_a_name_has_both(both: list[HttpServer]) -> None:
    allowed, forbidden = both
    options = quick(allow_private_networks=("127.0.0.1/32",))
    for order in (["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]):
        outcome = fetch_one(
            f"http://mixed.example:{allowed.port}/bytes/10",
            options,
            lookup=lambda *_, order=order: order,
        )
        assert outcome.cause is None

    assert (allowed.requests, forbidden.connections) == (2, 0)


def test_redirect_is_stopped_when_it_leaves_the_allowed_network(both: list[HttpServer]) -> None:
    allowed, forbidden = both
    for n, where in enumerate(
        [forbidden.url("/secret"), f"http://sneaky.example:{forbidden.port}/secret"]
    ):
        allowed.add(f"/{n}", status=302, headers=[("Location", where)])
    urls = [allowed.url("/0"), allowed.url("/1")]
    outcomes = fetch_all(
        urls, quick(allow_private_networks=("127.0.0.1/32",)), lookup=lambda *_: ["127.0.0.2"]
    )

    assert [outcome.cause for outcome in outcomes] == [Cause.BLOCKED_ADDRESS] * 2
    assert forbidden.connections == 0


@pytest.mark.parametrize("port", [22, 25, 6379, 0])
def test_no_connection_is_made_when_a_port_is_not_for_http(port: int) -> None:
    outcome = fetch_one(f"http://127.0.0.1:{port}/")

    assert (outcome.cause, outcome.requests) == (Cause.BLOCKED_PORT, 0)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/x",
        "ftp://127.0.0.1/x",
        "data:text/plain,x",
        "FILE:///etc/passwd",
        "s3://b/k",
    ],
)
def test_url_is_refused_when_its_scheme_is_not_http(url: str) -> None:
    outcome = fetch_one(url)

    assert (outcome.cause, outcome.requests) == (Cause.BLOCKED_SCHEME, 0)


def test_requests_go_through_the_proxy_when_one_is_given(server: HttpServer) -> None:
    fetch_one("http://elsewhere.example/x", quick(proxy=server.url(), allow_private_networks=()))

    assert [seen.target for seen in server.log] == ["http://elsewhere.example/x"]


def test_no_request_is_made_when_a_private_literal_is_asked_of_a_proxy(server: HttpServer) -> None:
    outcome = fetch_one(
        "http://169.254.169.254/x", quick(proxy=server.url(), allow_private_networks=())
    )

    assert outcome.cause is Cause.BLOCKED_ADDRESS
    assert server.connections == 0


def test_user_and_password_are_sent_but_not_kept_when_a_url_has_them(server: HttpServer) -> None:
    outcome = fetch_one(f"http://canary:s3cret@127.0.0.1:{server.port}/status/404")

    assert server.log[0].headers["authorization"].startswith("Basic ")
    assert outcome.url == server.url("/status/404")
    assert "s3cret" not in repr(outcome)


def test_user_and_password_stay_behind_when_redirected_to_another_host(
    both: list[HttpServer],
) -> None:
    server, other = both
    server.add("/x", status=302, headers=[("Location", other.url("/bytes/10"))])

    assert fetch_one(f"http://canary:s3cret@127.0.0.1:{server.port}/x").cause is None
    assert "authorization" not in other.log[0].headers


def test_extra_headers_stay_on_their_host_when_redirected(both: list[HttpServer]) -> None:
    server, other = both
    server.add("/same", status=302, headers=[("Location", "/bytes/10")])
    server.add("/other", status=302, headers=[("Location", other.url("/bytes/10"))])
    options = quick(headers=(("Authorization", "Token abc"),), max_connections=1)
    fetch_all([server.url("/same"), server.url("/other"), server.url("/bytes/20")], options)

    assert [seen.headers.get("authorization") for seen in server.log] == ["Token abc"] * 4
    assert [seen.headers.get("authorization") for seen in other.log] == [None]


def test_extra_headers_go_nowhere_else_when_their_hosts_are_named(both: list[HttpServer]) -> None:
    options = quick(headers=(("Authorization", "Token abc"),), header_hosts=("127.0.0.2",))
    fetch_all([server.url("/bytes/10") for server in both], options)

    assert [server.log[0].headers.get("authorization") for server in both] == [None, "Token abc"]


def test_names_are_looked_up_once_when_many_urls_share_them(server: HttpServer) -> None:
    asked = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with Fetcher(quick(), lookup=lookup) as fetcher:
        for _ in range(2):
            urls = [f"http://h{n % 5}.example:{server.port}/bytes/10?{n}" for n in range(100)]
            outcomes = list(fetcher.fetch(Request(url) for url in urls))
            assert Counter(outcome.cause for outcome in outcomes) == {None: 100}

    assert sorted(asked) == [f"h{n}.example" for n in range(5)]


def test_host_is_punycode_and_path_is_encoded_when_a_url_is_international(
    server: HttpServer,
) -> None:
    asked = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    server.add("/%C3%BC.jpg", b"found")
    outcome = fetch_one(
        f"http://b\u00fccher.example:{server.port}/\u00fc.jpg?x=\u00e4 b", lookup=lookup
    )

    assert (outcome.body, asked, server.requests) == (b"found", ["xn--bcher-kva.example"], 1)
    assert server.log[0].target == "/%C3%BC.jpg?x=%C3%A4%20b"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        " ",
        "\n",
        "x" * 500_000,
        "http://" + "a" * 9000,
        7,
        "http://",
        "/x.jpg",
        "http://a\nb/",
    ],
)
def test_outcome_is_invalid_url_when_the_text_is_none(url: object) -> None:
    outcome = fetch_one(url)

    assert (outcome.cause, outcome.requests) == (Cause.INVALID_URL, 0)
