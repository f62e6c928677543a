"""Kept connections that a server closes: what is sent again, and how it is counted."""

import asyncio

import pytest

from dataset_assets.fetch.client import Fetcher
from dataset_assets.records.fetching import Request
from dataset_assets_tests.fetch.conftest import fetch_all, quick
from dataset_assets_tests.support.http_exchange import Exchange
from dataset_assets_tests.support.http_server import HttpServer


class ClosesKept:
    """Answers the first request of a connection; a second one closes it without an answer.

    `/kept/...` is answered on any connection.
    """

    def __init__(self, status: int) -> None:
        self._status = status
        self._used: set[int] = set()

    async def __call__(self, exchange: Exchange) -> bool:
        is_first = exchange.seen.connection not in self._used
        self._used.add(exchange.seen.connection)
        if exchange.path.startswith("/kept/"):
            await asyncio.sleep(0.1)  # so that each request has a connection of its own
            await exchange.reply(b"kept")
        elif is_first:
            await exchange.reply(b"body", self._status)
        else:
            exchange.close()
        return True


@pytest.mark.parametrize(("retries", "most"), [(0, 2), (1, 2), (2, 3), (5, 6)])
@pytest.mark.parametrize("status", [200, 503])
def test_every_request_is_counted_when_kept_connections_are_closed_without_an_answer(
    retries: int, most: int, status: int
) -> None:
    with (
        HttpServer(handler=ClosesKept(status)) as server,
        Fetcher(quick(retries=retries)) as fetcher,
    ):
        for number in range(2):
            kept = [Request(server.url(f"/kept/{number}/{each}"), each) for each in range(12)]
            assert all(outcome.body for outcome in fetcher.fetch(kept))
            before = server.requests
            [outcome] = fetcher.fetch([Request(server.url(f"/wanted/{number}"), number)])
            assert outcome.http_status == status
            assert outcome.requests == server.requests - before
            assert 2 <= outcome.requests <= most
            if outcome.cause is not None:
                break  # 503 pauses the host


def test_requests_and_successes_agree_with_the_server_when_it_never_answers_a_kept_connection() -> (
    None
):
    with HttpServer(handler=ClosesKept(200)) as server:
        outcomes = fetch_all(
            [server.url(f"/{number}") for number in range(60)], quick(max_connections=4)
        )
        assert {outcome.cause for outcome in outcomes} == {None}
        assert sum(outcome.requests for outcome in outcomes) == server.requests
        assert server.requests <= 60 + 10  # then connections of this host are not kept any more


def test_kept_connections_are_used_again_when_one_of_them_was_closed(server: HttpServer) -> None:
    async def close_one(exchange: Exchange) -> bool:
        if server.requests == 5:
            exchange.close()
        else:
            await exchange.reply(b"body")
        return True

    server.handler = close_one
    outcomes = fetch_all(
        [server.url(f"/{number}") for number in range(40)], quick(max_connections=1)
    )
    assert {outcome.cause for outcome in outcomes} == {None}
    assert sum(outcome.requests for outcome in outcomes) == server.requests == 41
    assert server.connections == 3
