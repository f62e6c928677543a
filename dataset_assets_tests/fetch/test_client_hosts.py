"""Limits per host: back-off from one host while others continue, and giving up."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from dataset_assets.fetch.client import Fetcher
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Request
from dataset_assets_tests.fetch.conftest import fetch_all, quick
from dataset_assets_tests.support.http_server import HttpServer


@pytest.fixture
def other() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of a port that nothing listens on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"


def test_few_connections_are_open_at_once_when_a_host_has_a_limit(
    server: HttpServer, other: HttpServer
) -> None:
    urls = [each.url(f"/slow/0.02/10?{n}") for n in range(60) for each in (server, other)]
    outcomes = fetch_all(urls, quick(max_connections_per_host=4))

    assert {outcome.cause for outcome in outcomes} == {None}
    assert (server.peak, other.peak) == (4, 4)


def test_requests_are_spaced_when_a_host_has_a_rate(server: HttpServer) -> None:
    outcomes = fetch_all(
        [server.url(f"/bytes/10?{n}") for n in range(21)], quick(max_requests_per_s_per_host=50)
    )
    times = [seen.at for seen in server.log]

    assert {outcome.cause for outcome in outcomes} == {None}
    assert times[-1] - times[0] >= 0.38


def test_host_is_left_alone_for_as_long_as_it_asks_when_it_answers_429(
    server: HttpServer, other: HttpServer
) -> None:
    async def handler(exchange) -> bool:
        if exchange.path != "/busy":
            return False
        await exchange.reply(b"", 429, [("Retry-After", "1")])
        return True

    server.handler = handler
    urls = [
        server.url("/busy"),
        *(server.url(f"/bytes/10?{n}") for n in range(50)),
        *(other.url(f"/bytes/10?{n}") for n in range(200)),
    ]
    with Fetcher(quick(max_connections=1)) as fetcher:
        outcomes = list(fetcher.fetch(Request(url) for url in urls))

    assert [outcome.cause for outcome in outcomes] == [Cause.HTTP_RATE_LIMITED] + [None] * 250
    assert {outcome.url.split("?")[0] for outcome in outcomes[1:201]} == {other.url("/bytes/10")}
    assert server.log[1].at - server.log[0].at >= 1
    assert other.log[-1].at < server.log[1].at


def test_one_request_tries_first_when_a_pause_is_over(server: HttpServer) -> None:
    async def handler(exchange) -> bool:
        if server.requests > 3:
            return False
        await exchange.reply(b"", 429)
        return True

    server.handler = handler
    outcomes = fetch_all(
        [server.url(f"/bytes/10?{n}") for n in range(30)], quick(max_connections=1)
    )

    assert Counter(outcome.cause for outcome in outcomes) == {Cause.HTTP_RATE_LIMITED: 3, None: 27}
    gaps = [after.at - before.at for before, after in pairwise(server.log)]
    assert gaps[0] >= 0.014
    assert gaps[1] >= 0.029


def test_rest_of_a_host_is_given_up_when_it_refuses_again_and_again(
    refusing: str, other: HttpServer
) -> None:
    dead = [f"{refusing}/{n}" for n in range(200)]
    good = [other.url(f"/slow/0.01/10?{n}") for n in range(200)]
    mixed = [url for pair in zip(dead, good, strict=True) for url in pair]
    began = time.monotonic()
    outcomes = fetch_all(mixed, quick(max_connections=8))

    causes = Counter(outcome.cause for outcome in outcomes[::2])
    assert set(causes) == {Cause.CONNECTION_REFUSED, Cause.HOST_UNAVAILABLE}
    assert causes[Cause.CONNECTION_REFUSED] < 30
    assert {outcome.cause for outcome in outcomes[1::2]} == {None}
    assert time.monotonic() - began < 3


def test_host_stays_given_up_when_fetch_is_called_again(refusing: str) -> None:
    with Fetcher(quick(max_connections=4)) as fetcher:
        list(fetcher.fetch(Request(f"{refusing}/{n}") for n in range(50)))
        outcomes = list(fetcher.fetch(Request(f"{refusing}/{n}") for n in range(10)))

    assert {(outcome.cause, outcome.requests) for outcome in outcomes} == {
        (Cause.HOST_UNAVAILABLE, 0)
    }


def test_delays_stay_below_the_promise_when_a_host_overloads_for_ever(server: HttpServer) -> None:
    async def handler(exchange) -> bool:
        await exchange.reply(
            b"" if exchange.number % 2 else b"fine",
            429 if exchange.number % 2 else 200,
            [("Retry-After", "0")] if exchange.number % 2 else [],
        )
        return True

    server.handler = handler
    options = quick(backoff_s=0.1, max_backoff_s=0.1, max_retry_after_s=0.2)
    began = time.monotonic()
    outcomes = fetch_all([server.url("/same")] * 300, options)

    assert len(outcomes) == 300
    assert Cause.HOST_UNAVAILABLE not in {outcome.cause for outcome in outcomes}
    assert options.max_host_delay_s == 0.5
    assert time.monotonic() - began < 3


def test_host_is_not_paused_when_few_of_its_answers_are_503(server: HttpServer) -> None:
    async def handler(exchange) -> bool:
        if exchange.seen.target.endswith("0"):
            await exchange.reply(b"", 503)
        return exchange.seen.target.endswith("0")

    server.handler = handler
    began = time.monotonic()
    outcomes = fetch_all(
        [server.url(f"/bytes/10?{n}") for n in range(100)],
        quick(backoff_s=5, max_backoff_s=5, max_connections=1),
    )

    assert Counter(outcome.cause for outcome in outcomes) == {Cause.HTTP_SERVER_ERROR: 10, None: 90}
    assert time.monotonic() - began < 2


def test_others_are_not_affected_when_names_do_not_exist(server: HttpServer) -> None:
    def lookup(host: str, port: int) -> list[str]:
        if host.startswith("gone"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return ["127.0.0.1"]

    urls = [
        f"http://{'gone' if n % 2 else 'here'}{n}.example:{server.port}/bytes/10"
        for n in range(200)
    ]
    outcomes = fetch_all(urls, lookup=lookup)

    assert Counter(outcome.cause for outcome in outcomes) == {None: 100, Cause.DNS_NOT_FOUND: 100}


@pytest.mark.parametrize(
    ("error", "cause", "asked"),
    [
        (socket.EAI_NONAME, Cause.DNS_NOT_FOUND, 1),
        (socket.EAI_AGAIN, Cause.DNS_TEMPORARY, 2),
        (socket.EAI_FAIL, Cause.DNS_TEMPORARY, 2),
    ],
)
def test_name_is_looked_up_once_more_only_when_the_failure_may_pass(
    error: int, cause: Cause, asked: int
) -> None:
    seen = []

    def lookup(host: str, port: int) -> list[str]:
        seen.append(host)
        raise socket.gaierror(error, "failed")

    outcomes = fetch_all(["http://a.example/"], quick(retries=2), lookup=lookup)

    assert ([outcome.cause for outcome in outcomes], len(seen)) == ([cause], asked)


def test_hosts_are_found_again_when_their_names_were_forgotten(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataset_assets.fetch.hosts.resolver._MAX_NAMES", 3)
    asked: Counter[str] = Counter()

    def lookup(host: str, port: int) -> list[str]:
        asked[host] += 1
        return ["127.0.0.1"]

    urls = [f"http://h{n % 10}.example:{server.port}/bytes/10" for n in range(100)]
    outcomes = fetch_all(urls, quick(max_connections=1), lookup=lookup)

    assert Counter(outcome.cause for outcome in outcomes) == {None: 100}
    assert max(asked.values()) > 1


def test_other_names_go_on_when_many_lookups_hang(server: HttpServer) -> None:
    def lookup(host: str, port: int) -> list[str]:
        if host.startswith("hang"):
            time.sleep(3)
        return ["127.0.0.1"]

    urls = [f"http://hang{n}.example:{server.port}/bytes/10" for n in range(40)] + [
        f"http://h{n}.example:{server.port}/bytes/10" for n in range(40)
    ]
    with Fetcher(quick(timeout_s=1.5), lookup=lookup) as fetcher:
        outcomes = list(fetcher.fetch(Request(url) for url in urls))

    assert [outcome.cause for outcome in outcomes] == [None] * 40 + [Cause.DNS_TEMPORARY] * 40


def test_hop_to_another_host_waits_its_turn_when_that_host_has_a_limit(
    server: HttpServer, other: HttpServer
) -> None:
    async def handler(exchange) -> bool:
        await asyncio.sleep(0.02)
        return False

    other.handler = handler
    for n in range(20):
        server.add(f"/{n}", status=302, headers=[("Location", other.url(f"/bytes/10?{n}"))])
    outcomes = fetch_all(
        [server.url(f"/{n}") for n in range(20)], quick(max_connections_per_host=2)
    )

    assert {outcome.cause for outcome in outcomes} == {None}
    assert other.peak == 2
