"""A web with bad hosts: dead, refusing, hanging, overloaded ones do not hold back rows of others.

Every host has an address of its own in 127.0.0.0/8. Order of outcomes and counts are checked.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dataset_assets.fetch.client import Fetcher
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import FetchOutcome, Request
from dataset_assets_tests.fetch.conftest import quick
from dataset_assets_tests.support.http_exchange import Exchange
from dataset_assets_tests.support.http_server import HttpServer

UNAVAILABLE = Cause.HOST_UNAVAILABLE


@pytest.fixture
def healthy() -> Iterator[list[HttpServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(HttpServer(host=f"127.0.2.{n}")) for n in range(1, 4)]


@pytest.fixture
def dead() -> Iterator[str]:
    """The URL of a host that answers no SYN: its backlog is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.3.1", 0))
        listening.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        time.sleep(0.05)
        yield f"http://127.0.3.1:{listening.getsockname()[1]}"


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of a port that nothing listens on."""
    with socket.socket() as closed:
        closed.bind(("127.0.4.1", 0))
        yield f"http://127.0.4.1:{closed.getsockname()[1]}"


def mixed(bad: Callable[[int], str], healthy: list[HttpServer], rows: int) -> list[str]:
    """One URL of a bad host before each three of healthy ones."""
    urls = []
    for n in range(rows):
        urls.append(bad(n))
        urls += [server.url(f"/bytes/10?{n}") for server in healthy]
    return urls


def fetch(urls: list[str], options: FetchOptions) -> list[FetchOutcome]:
    """Fetch URLs; return the outcomes in the order in which they end."""
    with Fetcher(options) as fetcher:
        outcomes = list(fetcher.fetch(Request(url, url) for url in urls))
    assert Counter(outcome.token for outcome in outcomes) == Counter(urls)
    return outcomes


def split(outcomes: list[FetchOutcome], bad: str) -> tuple[Counter[Cause | None], int]:
    """Return the causes of the bad host, and how many healthy rows ended before they did."""
    causes = Counter(each.cause for each in outcomes if each.token.startswith(bad))
    assert {each.cause for each in outcomes if not each.token.startswith(bad)} == {None}
    waited = next(
        (index for index, each in enumerate(outcomes) if each.cause is UNAVAILABLE), len(outcomes)
    )
    good = sum(1 for each in outcomes[:waited] if not each.token.startswith(bad))
    return causes, good


def test_healthy_hosts_go_on_when_one_answers_no_syn(dead: str, healthy: list[HttpServer]) -> None:
    urls = mixed(lambda n: f"{dead}/{n}", healthy, 100)
    causes, before = split(fetch(urls, quick(timeout_s=2, max_connections=8)), dead)

    assert causes == {Cause.TIMEOUT_CONNECT: 2, UNAVAILABLE: 98}
    assert before == 300


def test_healthy_hosts_go_on_when_one_accepts_and_hangs(
    server: HttpServer, healthy: list[HttpServer]
) -> None:
    urls = mixed(lambda n: server.url(f"/fault/hang?{n}"), healthy, 100)
    causes, before = split(fetch(urls, quick(timeout_s=2, max_connections=8)), server.url("/"))

    assert causes == {Cause.TIMEOUT_FIRST_BYTE: 2, UNAVAILABLE: 98}
    assert before == 300
    assert server.requests == 2


def test_host_is_probed_a_few_times_when_it_refuses(
    refusing: str, healthy: list[HttpServer]
) -> None:
    urls = mixed(lambda n: f"{refusing}/{n}", healthy, 100)
    causes, before = split(
        fetch(urls, quick(backoff_s=0.3, max_backoff_s=5, max_connections=8)), refusing
    )

    assert set(causes) == {Cause.CONNECTION_REFUSED, UNAVAILABLE}
    assert 2 <= causes[Cause.CONNECTION_REFUSED] <= 6
    assert before == 300


def test_host_is_given_up_after_some_pauses_when_it_only_says_429(
    server: HttpServer, healthy: list[HttpServer]
) -> None:
    async def handler(exchange: Exchange) -> bool:
        await exchange.reply(b"", 429, [("Retry-After", "1")])
        return True

    server.handler = handler
    urls = mixed(lambda n: server.url(f"/{n}"), healthy, 100)
    causes, before = split(fetch(urls, quick(timeout_s=5, max_connections=8)), server.url("/"))

    assert set(causes) == {Cause.HTTP_RATE_LIMITED, UNAVAILABLE}
    assert causes[Cause.HTTP_RATE_LIMITED] == server.requests <= 6
    assert before == 300


@pytest.mark.parametrize("retries", [0, 1])
def test_host_gets_a_pace_when_it_limits_requests(retries: int, server: HttpServer) -> None:
    admitted = [0.0]

    async def handler(exchange: Exchange) -> bool:
        now = time.monotonic()
        if now - admitted[0] < 0.04:
            await exchange.reply(b"", 429, [("Retry-After", "0")])
            return True
        admitted[0] = now
        return False

    server.handler = handler
    urls = [server.url(f"/bytes/10?{n}") for n in range(30)]
    causes = Counter(each.cause for each in fetch(urls, quick(timeout_s=5, retries=retries)))

    assert set(causes) <= {None, Cause.HTTP_RATE_LIMITED}
    assert causes[None] >= (24 if retries else 14)
    if not retries:
        assert server.requests == 30


def test_no_row_is_lost_but_the_first_when_a_host_is_down_for_a_moment() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.5.1", 0))
        port = reserved.getsockname()[1]
    came_up = threading.Event()

    def come_up() -> None:
        time.sleep(0.15)
        listening = socket.create_server(("127.0.5.1", port), backlog=600)
        came_up.set()
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_answer, args=(client,), daemon=True).start()

    threading.Thread(target=come_up, daemon=True).start()
    urls = [f"http://127.0.5.1:{port}/{n}" for n in range(600)]
    outcomes = fetch(urls, quick(timeout_s=10, backoff_s=0.2, max_backoff_s=5, max_connections=64))
    causes = Counter(each.cause for each in outcomes)

    assert came_up.is_set()
    assert causes[None] >= 597
    assert set(causes) == {None, Cause.CONNECTION_REFUSED}


def _answer(client: socket.socket) -> None:
    with client:
        while client.recv(4096):
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")


def test_given_up_host_is_tried_again_when_its_time_is_over() -> None:
    skipped = [0.0]
    with (
        HttpServer() as server,
        Fetcher(quick(timeout_s=0.5), clock=lambda: time.monotonic() + skipped[0]) as fetcher,
    ):

        async def hang(exchange: Exchange) -> bool:
            await exchange.gone()
            return True

        def causes() -> list[Cause | None]:
            urls = (server.url(f"/bytes/10?{n}") for n in range(5))
            return [each.cause for each in fetcher.fetch(Request(url) for url in urls)]

        server.handler = hang
        assert causes() == [Cause.TIMEOUT_FIRST_BYTE] * 2 + [UNAVAILABLE] * 3
        server.handler = None
        assert causes() == [UNAVAILABLE] * 5
        assert server.requests == 2
        skipped[0] += 31
        assert causes() == [None] * 5


def test_one_probe_is_sent_when_a_given_up_host_is_still_dead() -> None:
    skipped = [0.0]
    with (
        HttpServer() as server,
        Fetcher(quick(timeout_s=0.5), clock=lambda: time.monotonic() + skipped[0]) as fetcher,
    ):
        urls = [server.url(f"/fault/hang?{n}") for n in range(5)]
        list(fetcher.fetch(Request(url) for url in urls))
        skipped[0] += 31
        outcomes = list(fetcher.fetch(Request(url) for url in urls))

        assert [each.cause for each in outcomes] == [Cause.TIMEOUT_FIRST_BYTE] + [UNAVAILABLE] * 4
        assert server.requests == 3


def test_other_rows_start_when_dead_hosts_fill_all_connections(
    dead: str, healthy: list[HttpServer]
) -> None:
    port = int(dead.rpartition(":")[2])

    def lookup(host: str, port: int) -> list[str]:
        return ["127.0.3.1"] if host.startswith("dead") else ["127.0.2.1"]

    urls = [f"http://dead{n}.example:{port}/" for n in range(20)]
    urls += [f"http://h{n}.example:{healthy[0].port}/bytes/10" for n in range(40)]
    with Fetcher(quick(timeout_s=5, max_connections=10), lookup=lookup) as fetcher:
        outcomes = list(fetcher.fetch(Request(url, url) for url in urls))

    assert [each.cause for each in outcomes] == [None] * 40 + [Cause.TIMEOUT_CONNECT] * 20


def test_few_rows_are_spent_when_nothing_answers(refusing: str) -> None:
    pulled = 0
    port = int(refusing.rpartition(":")[2])
    stop = time.monotonic() + 4

    def requests() -> Iterator[Request]:
        nonlocal pulled
        for n in range(100_000):
            if time.monotonic() > stop:
                return
            pulled += 1
            yield Request(f"http://h{n}.example:{port}/")

    options = quick(max_connections=4, backoff_s=0.05, max_backoff_s=1)
    with Fetcher(options, lookup=lambda *_: ["127.0.4.1"]) as fetcher:
        outcomes = list(fetcher.fetch(requests()))

    assert {each.cause for each in outcomes} == {Cause.CONNECTION_REFUSED}
    assert pulled < 3000


def test_rows_do_not_wait_when_a_host_asks_for_longer_than_they_may(
    server: HttpServer, healthy: list[HttpServer]
) -> None:
    async def handler(exchange: Exchange) -> bool:
        await exchange.reply(b"", 429, [("Retry-After", "60")])
        return True

    server.handler = handler
    urls = mixed(lambda n: server.url(f"/{n}"), healthy, 20)
    began = time.monotonic()
    causes, _ = split(fetch(urls, quick(timeout_s=5, total_timeout_s=5)), server.url("/"))

    assert set(causes) == {Cause.HTTP_RATE_LIMITED, UNAVAILABLE}
    assert server.requests <= 2
    assert time.monotonic() - began < 30


def test_rows_wait_as_long_as_it_takes_when_the_user_limits_the_rate(server: HttpServer) -> None:
    options = quick(total_timeout_s=0.5, max_requests_per_s_per_host=10)
    outcomes = fetch([server.url(f"/bytes/10?{n}") for n in range(20)], options)

    assert {each.cause for each in outcomes} == {None}
