"""Network faults become causes: every fault of the server, with the number of requests sent."""

import asyncio
import random
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from dataset_assets.fetch.client import Fetcher
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import Request
from dataset_assets_tests.fetch.conftest import fetch_all, fetch_one, quick
from dataset_assets_tests.support.http_exchange import payload
from dataset_assets_tests.support.http_server import HttpServer


@pytest.mark.parametrize(
    ("fault", "cause", "requests"),
    [
        ("truncated", Cause.INCOMPLETE_BODY, 3),
        ("chunk_truncated", Cause.INCOMPLETE_BODY, 3),
        ("negative_length", Cause.PROTOCOL_ERROR, 3),
        ("two_lengths", Cause.PROTOCOL_ERROR, 3),
        ("garbage", Cause.PROTOCOL_ERROR, 3),
        ("nothing", Cause.PROTOCOL_ERROR, 3),
        ("large_headers", Cause.PROTOCOL_ERROR, 3),
        ("some_headers", Cause.PROTOCOL_ERROR, 3),
        ("many_headers", Cause.PROTOCOL_ERROR, 3),
        ("reset", Cause.CONNECTION_RESET, 3),
        ("dripping", Cause.TOO_SLOW, 3),
        ("dripping_headers", Cause.TOO_SLOW, 3),
        ("stalled", Cause.TOO_SLOW, 3),
        ("hang", Cause.TIMEOUT_FIRST_BYTE, 3),
        ("endless", Cause.TOO_LARGE, 1),
        ("declared_10gb", Cause.TOO_LARGE, 1),
        ("empty_body", Cause.EMPTY_BODY, 1),
        ("to_file", Cause.BLOCKED_SCHEME, 1),
        ("to_ftp", Cause.BLOCKED_SCHEME, 1),
        ("to_data", Cause.BLOCKED_SCHEME, 1),
        ("to_metadata", Cause.BLOCKED_ADDRESS, 1),
        ("partial", Cause.PARTIAL_BODY, 1),
        ("opt_out_then_body", Cause.OPT_OUT, 1),
    ],
)
def test_fault_has_its_cause_and_requests_when_two_retries_are_allowed(
    server: HttpServer, fault: str, cause: Cause, requests: int
) -> None:
    outcome = fetch_one(
        server.url(f"/fault/{fault}"),
        quick(retries=2, max_bytes=1_000_000, timeout_s=0.25, low_speed_time_s=0.2),
    )

    assert (outcome.cause, outcome.requests, outcome.body) == (cause, requests, None)
    assert server.hits[f"/fault/{fault}"] == requests
    assert outcome.message
    assert "\n" not in outcome.message
    assert str(server.port) not in outcome.message


@pytest.mark.parametrize(
    ("status", "cause", "message"),
    [
        (404, Cause.HTTP_NOT_FOUND, "HTTP Error 404: Not Found"),
        (410, Cause.HTTP_NOT_FOUND, "HTTP Error 410: Gone"),
        (401, Cause.HTTP_FORBIDDEN, "HTTP Error 401: Unauthorized"),
        (403, Cause.HTTP_FORBIDDEN, "HTTP Error 403: Forbidden"),
        (451, Cause.HTTP_FORBIDDEN, "HTTP Error 451: Unavailable For Legal Reasons"),
        (400, Cause.HTTP_CLIENT_ERROR, "HTTP Error 400: Bad Request"),
        (204, Cause.HTTP_CLIENT_ERROR, "HTTP Error 204: No Content"),
        (304, Cause.HTTP_CLIENT_ERROR, "HTTP Error 304: Not Modified"),
        (302, Cause.HTTP_CLIENT_ERROR, "HTTP Error 302: Found"),
    ],
)
def test_status_is_final_when_trying_again_can_not_help(
    server: HttpServer, status: int, cause: Cause, message: str
) -> None:
    outcome = fetch_one(server.url(f"/status/{status}"), quick(retries=2))

    assert (outcome.cause, outcome.message, outcome.http_status) == (cause, message, status)
    assert server.requests == outcome.requests == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 521])
def test_status_is_tried_again_when_it_is_transient(server: HttpServer, status: int) -> None:
    outcome = fetch_one(server.url(f"/flaky/2/{status}/x"), quick(retries=2))

    assert (outcome.body, outcome.requests, server.requests) == (payload(100), 3, 3)


def test_transient_status_fails_at_once_when_no_retries_are_allowed(server: HttpServer) -> None:
    outcome = fetch_one(server.url("/flaky/1/503/x"))

    assert (outcome.cause, outcome.message, outcome.requests) == (
        Cause.HTTP_SERVER_ERROR,
        "HTTP Error 503: Service Unavailable",
        1,
    )


def test_reason_phrase_is_the_standard_one_when_the_server_sends_none(server: HttpServer) -> None:
    async def handler(exchange) -> bool:
        await exchange.send(b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n")
        return True

    server.handler = handler

    assert fetch_one(server.url("/x")).message == "HTTP Error 404: Not Found"


def test_retry_waits_as_long_as_the_server_asks_when_it_sends_retry_after(
    server: HttpServer,
) -> None:
    began = time.monotonic()
    outcome = fetch_one(server.url("/flaky/1/429/x?after=1"), quick(retries=1))

    assert outcome.body == payload(100)
    assert server.log[1].at - server.log[0].at >= 1
    assert time.monotonic() - began < 3


def test_retry_is_given_up_when_retry_after_is_beyond_the_cap(server: HttpServer) -> None:
    began = time.monotonic()
    outcome = fetch_one(server.url("/flaky/1/429/x?after=999999"), quick(retries=5))

    assert (outcome.cause, server.requests) == (Cause.HTTP_RATE_LIMITED, 1)
    assert time.monotonic() - began < 1


def test_body_is_what_was_declared_when_the_server_sends_more(server: HttpServer) -> None:
    outcomes = fetch_all(
        [server.url(f"/fault/longer?{n}") for n in range(3)], quick(max_connections=1)
    )

    assert [outcome.body for outcome in outcomes] == [b"x" * 100] * 3


def test_body_is_kept_when_it_has_no_length_and_the_connection_ends(server: HttpServer) -> None:
    assert fetch_one(server.url("/fault/no_length")).body == b"x" * 500


def test_interim_answer_is_skipped_when_the_final_one_follows(server: HttpServer) -> None:
    assert fetch_one(server.url("/fault/early_hints")).body == b"ok"


def test_content_type_has_no_parameters_when_the_server_sends_some(server: HttpServer) -> None:
    assert fetch_one(server.url("/fault/html")).content_type == "text/html"


def test_body_is_not_read_when_the_declared_length_is_too_large(server: HttpServer) -> None:
    assert fetch_one(server.url("/fault/declared_10gb")).bytes_read == 0


@pytest.mark.parametrize("cap", [1000, 300_000])
def test_reading_stops_near_the_cap_when_a_body_has_no_end(server: HttpServer, cap: int) -> None:
    outcome = fetch_one(server.url("/fault/endless"), quick(max_bytes=cap))

    assert outcome.cause is Cause.TOO_LARGE
    assert outcome.bytes_read <= cap + 262_144


def test_body_of_exactly_the_cap_is_kept_when_one_more_is_refused(server: HttpServer) -> None:
    outcomes = fetch_all(
        [server.url("/bytes/1000"), server.url("/bytes/1001")], quick(max_bytes=1000)
    )

    assert [outcome.cause for outcome in outcomes] == [None, Cause.TOO_LARGE]


def test_connection_is_closed_before_the_body_when_headers_opt_out(server: HttpServer) -> None:
    outcome = fetch_one(server.url("/fault/opt_out_then_body"))
    time.sleep(0.5)  # the server sends the body now, to nobody

    assert (outcome.cause, outcome.bytes_read) == (Cause.OPT_OUT, 0)
    assert server.sent["/fault/opt_out_then_body"] < 1000


def test_redirects_are_followed_when_they_end(server: HttpServer) -> None:
    outcome = fetch_one(server.url("/redirect/4"), quick(max_redirects=4))

    assert (outcome.body, outcome.requests, outcome.redirects) == (payload(100), 5, 4)
    assert outcome.url == server.url("/bytes/100")


def test_redirect_loop_ends_when_the_limit_is_reached(server: HttpServer) -> None:
    outcome = fetch_one(server.url("/fault/loop"), quick(max_redirects=5))

    assert (outcome.cause, outcome.requests, outcome.redirects) == (Cause.TOO_MANY_REDIRECTS, 6, 5)
    assert server.requests == 6


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("../up.jpg", "/up.jpg"),
        ("?q=1", "/a/b"),
        ("/sp ace/\u00fc", "/sp%20ace/%C3%BC"),
        ("//{host}/x#part", "/x"),
        ("\udce4", "/a/%E4"),
    ],
)
def test_redirect_is_resolved_when_the_location_is_relative_or_raw(
    server: HttpServer, location: str, path: str
) -> None:
    where = location.replace("{host}", f"127.0.0.1:{server.port}").encode(
        "utf-8", "surrogateescape"
    )

    async def handler(exchange) -> bool:
        first = exchange.seen.target == "/a/b"
        await exchange.send(
            b"HTTP/1.1 301 Moved\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n"
            if first
            else b""
        )
        if not first:
            await exchange.reply(b"here")
        return True

    server.handler = handler

    assert fetch_one(server.url("/a/b")).body == b"here"
    assert server.log[-1].path == path


def test_redirects_share_one_time_limit_when_each_hop_is_slow(server: HttpServer) -> None:
    async def handler(exchange) -> bool:
        await asyncio.sleep(0.15)
        await exchange.reply(b"", 302, [("Location", f"{exchange.path}x")])
        return True

    server.handler = handler
    began = time.monotonic()
    outcome = fetch_one(server.url("/a"), quick(total_timeout_s=0.5, max_redirects=100))

    assert outcome.cause is Cause.TIMEOUT_TOTAL
    assert time.monotonic() - began < 1
    assert outcome.requests <= 4


def test_connection_refused_is_tried_again_when_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        outcome = fetch_one(url, quick(retries=2))

    assert (outcome.cause, outcome.message, outcome.requests) == (
        Cause.CONNECTION_REFUSED,
        "connection refused",
        3,
    )


def test_connecting_times_out_when_nobody_accepts() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        outcome = fetch_one(f"http://127.0.0.1:{full.getsockname()[1]}/", quick(timeout_s=0.3))
        for each in waiting:
            each.close()

    assert outcome.cause is Cause.TIMEOUT_CONNECT


def test_closed_connection_is_replaced_when_the_server_dropped_it_between_requests(
    server: HttpServer,
) -> None:
    urls = [server.url(f"/fault/closes_idle?{n}") for n in range(20)]

    assert all(
        outcome.body == payload(100) for outcome in fetch_all(urls, quick(max_connections=1))
    )


def test_other_urls_come_first_when_many_are_slow(server: HttpServer) -> None:
    slow = [server.url(f"/fault/dripping?{n}") for n in range(64)]
    good = [server.url(f"/bytes/1000?{n}") for n in range(300)]
    with Fetcher(quick(max_connections=100, timeout_s=2, low_speed_time_s=1.5)) as fetcher:
        outcomes = list(fetcher.fetch(Request(url) for url in slow + good))

    assert [outcome.cause for outcome in outcomes] == [None] * 300 + [Cause.TOO_SLOW] * 64


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("image/PNG; q=1", "image/png"),
        ("", ""),
        ("im\xe4ge/png", "im\xe4ge/png"),
        ("a\x1b[31mb", ""),
        ("x" * 5000, ""),
    ],
)
def test_content_type_is_safe_to_store_when_the_server_is_hostile(
    server: HttpServer, sent: str, kept: str
) -> None:
    async def handler(exchange) -> bool:
        await exchange.reply(b"body", headers=[("Content-Type", sent)])
        return True

    server.handler = handler
    outcome = fetch_one(server.url("/x"))

    assert (outcome.body, outcome.content_type) == (b"body", kept)


def test_every_url_has_one_outcome_when_answers_are_random_bytes(server: HttpServer) -> None:
    dice = random.Random(3)
    whole = (
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Type: a/b\r\nRetry-After: 1\r\n"
        b"X-Robots-Tag: all\r\nContent-Length: 4\r\n\r\nbody"
    )

    async def handler(exchange) -> bool:
        answer = bytearray(whole.replace(b"302", dice.choice([b"200", b"302", b"503", b"100"])))
        for _ in range(dice.randrange(6)):
            answer[dice.randrange(len(answer))] = dice.randrange(256)
        await exchange.send(bytes(answer))
        exchange.close()
        return True

    server.handler = handler
    outcomes = fetch_all(
        [server.url(f"/{n}") for n in range(400)],
        quick(timeout_s=0.3, retries=1, max_retry_after_s=0.01, max_redirects=3),
    )

    assert all(outcome.message is None or outcome.message.isprintable() for outcome in outcomes)


def test_every_url_has_one_outcome_when_faults_are_mixed_at_random(
    server: HttpServer, tmp_path: Path
) -> None:
    dice = random.Random(7)
    faults = (
        "truncated",
        "garbage",
        "nothing",
        "reset",
        "hang",
        "dripping",
        "endless",
        "gzip_bomb",
        "loop",
        "to_file",
        "large_headers",
        "closes_idle",
    )
    kinds = [
        *(f"/fault/{name}" for name in faults),
        *["/bytes/1000", "/redirect/2", "/status/404", "/flaky/1/503/x"] * 12,
    ]
    urls = [server.url(f"{dice.choice(kinds)}?{n}") for n in range(400)] + [
        "",
        None,
        "ftp://x/",
        "http://10.0.0.1/",
        "http://127.0.0.1:22/",
        "nonsense",
    ] * 5
    dice.shuffle(urls)
    outcomes = fetch_all(
        urls,
        quick(
            retries=1, timeout_s=0.3, low_speed_time_s=0.2, max_bytes=200_000, max_connections=64
        ),
    )

    assert len(outcomes) == len(urls)
    assert all((outcome.body is None) == (outcome.cause is not None) for outcome in outcomes)
    assert Counter(outcome.cause for outcome in outcomes)[None] > 100
