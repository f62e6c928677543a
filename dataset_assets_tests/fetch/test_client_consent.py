"""Opt-outs of servers: headers, robots.txt, and the identification of the robot."""

import asyncio

import pytest

from dataset_assets.fetch.client import Fetcher
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Request
from dataset_assets_tests.fetch.conftest import fetch_all, fetch_one, quick
from dataset_assets_tests.support.http_server import HttpServer


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ([("X-Robots-Tag", "noai")], Cause.OPT_OUT),
        ([("x-robots-tag", "NoAI, noindex")], Cause.OPT_OUT),
        ([("X-Robots-Tag", "noml")], Cause.OPT_OUT),
        ([("X-Robots-Tag", "otherbot: noai")], None),
        ([("X-Robots-Tag", "mybot: noai")], Cause.OPT_OUT),
        ([("X-Robots-Tag", "all"), ("X-Robots-Tag", "noimageai")], Cause.OPT_OUT),
        ([("X-Robots-Tag", "noarchive")], None),
        ([("TDM-Reservation", "1")], Cause.OPT_OUT),
        ([("TDM-Reservation", "0")], None),
    ],
)
def test_header_is_honoured_when_it_speaks_to_us(
    server: HttpServer, headers: list[tuple[str, str]], cause: Cause | None
) -> None:
    url = server.add("/x", b"body", headers=headers)
    outcome = fetch_one(url, quick(user_agent_token="MyBot"))

    assert outcome.cause is cause
    assert outcome.bytes_read == (0 if cause else 4)


def test_headers_are_ignored_when_nothing_is_disallowed(server: HttpServer) -> None:
    url = server.add("/x", b"body", headers=[("X-Robots-Tag", "noai"), ("TDM-Reservation", "1")])

    assert fetch_one(url, quick(disallowed_directives=(), tdm_reservation=False)).body == b"body"


def test_robots_txt_is_asked_once_when_many_urls_are_on_its_origin(server: HttpServer) -> None:
    server.add(
        "/robots.txt",
        b"User-agent: *\nDisallow: /private/\n",
        headers=[("X-Robots-Tag", "noindex")],
    )
    urls = [server.url(f"/bytes/10?{n}") for n in range(20)] + [
        server.url("/private/a"),
        server.url("/bytes/../private/b"),
    ]
    outcomes = fetch_all(urls, quick(robots_txt=True))

    assert [outcome.cause for outcome in outcomes] == [None] * 20 + [Cause.ROBOTS_TXT] * 2
    assert server.hits["/robots.txt"] == 1
    assert server.hits["/private/a"] == server.hits["/private/b"] == 0


def test_robots_txt_is_kept_when_fetch_is_called_again(server: HttpServer) -> None:
    with Fetcher(quick(robots_txt=True)) as fetcher:
        for _ in range(3):
            assert [
                outcome.cause for outcome in fetcher.fetch([Request(server.url("/bytes/10"))])
            ] == [None]

    assert server.hits["/robots.txt"] == 1


@pytest.mark.parametrize(
    ("rules", "token", "cause"),
    [
        (b"User-agent: otherbot\nDisallow: /\n", None, None),
        (b"User-agent: dataset_assets\nDisallow: /\n", None, Cause.ROBOTS_TXT),
        (b"User-agent: mybot\nDisallow: /\n", "MyBot", Cause.ROBOTS_TXT),
        (b"User-agent: *\nDisallow: /\nAllow: /bytes/\n", None, None),
        (b"", None, None),
        (b"<html>not found</html>", None, None),
    ],
)
def test_robots_txt_group_is_the_one_for_our_name_when_there_are_several(
    server: HttpServer, rules: bytes, token: str | None, cause: Cause | None
) -> None:
    server.add("/robots.txt", rules)

    assert (
        fetch_one(server.url("/bytes/10"), quick(robots_txt=True, user_agent_token=token)).cause
        is cause
    )


@pytest.mark.parametrize(
    ("status", "cause"),
    [(404, None), (403, None), (410, None), (500, Cause.ROBOTS_TXT), (503, Cause.ROBOTS_TXT)],
)
def test_missing_robots_txt_allows_and_a_failing_one_does_not_when_asked(
    server: HttpServer, status: int, cause: Cause | None
) -> None:
    server.add("/robots.txt", b"sorry", status=status)
    outcome = fetch_one(server.url("/bytes/10"), quick(robots_txt=True))

    assert outcome.cause is cause
    assert server.hits["/bytes/10"] == (0 if cause else 1)


def test_nothing_is_fetched_when_robots_txt_times_out(server: HttpServer) -> None:
    async def handler(exchange) -> bool:
        await asyncio.sleep(5 if exchange.path == "/robots.txt" else 0)
        return False

    server.handler = handler
    outcomes = fetch_all(
        [server.url("/bytes/10"), server.url("/bytes/20")], quick(robots_txt=True, timeout_s=0.2)
    )

    assert {outcome.cause for outcome in outcomes} == {Cause.ROBOTS_TXT}
    assert server.requests == 1


def test_urls_fail_for_the_real_reason_when_their_origin_can_not_be_reached() -> None:
    outcomes = fetch_all(["http://10.0.0.1/a", "http://10.0.0.1/b"], quick(robots_txt=True))

    assert {outcome.cause for outcome in outcomes} == {Cause.BLOCKED_ADDRESS}


def test_robots_txt_of_the_other_origin_counts_when_redirected_there(server: HttpServer) -> None:
    with HttpServer() as other:
        other.add("/robots.txt", b"User-agent: *\nDisallow: /\n")
        server.add("/x", status=302, headers=[("Location", other.url("/bytes/10"))])
        outcome = fetch_one(server.url("/x"), quick(robots_txt=True))

    assert outcome.cause is Cause.ROBOTS_TXT
    assert other.hits == {"/robots.txt": 1}


def test_robots_txt_is_followed_when_it_redirects(server: HttpServer) -> None:
    server.add("/robots.txt", status=301, headers=[("Location", "/rules")])
    server.add("/rules", b"User-agent: *\nDisallow: /\n")

    assert fetch_one(server.url("/bytes/10"), quick(robots_txt=True)).cause is Cause.ROBOTS_TXT


def test_only_the_start_counts_when_robots_txt_is_huge(server: HttpServer) -> None:
    server.add("/robots.txt", b"User-agent: *\nDisallow: /bytes/\n" + b"# padding\n" * 100_000)

    assert fetch_one(server.url("/bytes/10"), quick(robots_txt=True)).cause is Cause.ROBOTS_TXT


def test_request_says_who_we_are_and_that_nothing_is_decompressed_when_sent(
    server: HttpServer,
) -> None:
    fetch_one(server.url("/bytes/10"), quick(user_agent="shop-bot/2 (+https://example.org/bot)"))

    assert [seen.target for seen in server.log] == ["/bytes/10"]
    assert server.log[0].headers["user-agent"] == "shop-bot/2 (+https://example.org/bot)"
    assert server.log[0].headers["accept-encoding"] == "identity"
