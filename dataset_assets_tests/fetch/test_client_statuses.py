"""Which responses carry the file: a whole body is a body, whatever its status of success says."""

import pytest

from dataset_assets.records.causes import Cause
from dataset_assets_tests.fetch.conftest import fetch_one, quick
from dataset_assets_tests.support.http_exchange import payload
from dataset_assets_tests.support.http_server import HttpServer

BODY = payload(100)


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 226, 218, 299])
def test_body_is_fetched_when_the_status_is_one_of_success(server: HttpServer, status: int) -> None:
    outcome = fetch_one(server.add("/a", BODY, status=status))

    assert (outcome.body, outcome.cause, outcome.http_status) == (BODY, None, status)


@pytest.mark.parametrize("status", [201, 203, 226])
def test_opt_out_counts_when_the_status_is_another_one_of_success(
    server: HttpServer, status: int
) -> None:
    url = server.add("/a", BODY, status=status, headers=[("X-Robots-Tag", "noai")])

    assert fetch_one(url).cause is Cause.OPT_OUT


@pytest.mark.parametrize("status", [201, 206, 299])
def test_body_is_cut_off_when_it_is_too_large_and_the_status_is_not_200(
    server: HttpServer, status: int
) -> None:
    url = server.add("/a", payload(200_000), status=status)

    assert fetch_one(url, quick(max_bytes=100_000)).cause is Cause.TOO_LARGE


@pytest.mark.parametrize("status", [204, 205, 304])
def test_response_fails_when_its_status_has_no_content(server: HttpServer, status: int) -> None:
    outcome = fetch_one(server.url(f"/status/{status}"))

    assert (outcome.cause, outcome.body) == (Cause.HTTP_CLIENT_ERROR, None)


@pytest.mark.parametrize(
    ("content_range", "cause"),
    [
        ("bytes 0-99/100", None),
        ("Bytes  0-99/100", None),
        ("bytes 0-99/1000", Cause.PARTIAL_BODY),
        ("bytes 900-999/1000", Cause.PARTIAL_BODY),
        ("bytes 0-99/*", Cause.PARTIAL_BODY),
        ("bytes */100", Cause.PARTIAL_BODY),
        ("lines 0-99/100", Cause.PARTIAL_BODY),
        ("nonsense", Cause.PARTIAL_BODY),
    ],
)
def test_partial_content_is_a_body_only_when_the_range_is_the_whole_file(
    server: HttpServer, content_range: str, cause: Cause | None
) -> None:
    url = server.add("/a", BODY, status=206, headers=[("Content-Range", content_range)])
    outcome = fetch_one(url, quick(retries=2))

    assert (outcome.cause, outcome.body) == (cause, None if cause else BODY)
    assert outcome.requests == 1
    if cause is not None:
        assert outcome.message == (
            "the server sent a part of the file (206) although no part was asked for"
        )


def test_partial_content_fails_when_it_has_several_parts(server: HttpServer) -> None:
    url = server.add("/a", BODY, status=206, content_type="multipart/byteranges; boundary=x")

    assert fetch_one(url).cause is Cause.PARTIAL_BODY


def test_rules_of_robots_txt_count_when_its_status_is_another_one_of_success(
    server: HttpServer,
) -> None:
    server.add("/robots.txt", b"User-agent: *\nDisallow: /no", status=203)
    server.add("/no", BODY)
    server.add("/yes", BODY)
    options = quick(robots_txt=True)

    assert fetch_one(server.url("/no"), options).cause is Cause.ROBOTS_TXT
    assert fetch_one(server.url("/yes"), options).body == BODY


def test_nothing_is_allowed_when_robots_txt_comes_in_part(server: HttpServer) -> None:
    rules = b"User-agent: *\nDisallow: /no"
    server.add("/robots.txt", rules, status=206, headers=[("Content-Range", "bytes 0-27/9000")])
    server.add("/yes", BODY)

    outcome = fetch_one(server.url("/yes"), quick(robots_txt=True))
    assert (outcome.cause, server.hits["/yes"]) == (Cause.ROBOTS_TXT, 0)


@pytest.mark.parametrize("fault", ["hang", "stalled", "dripping", "dripping_headers"])
def test_server_that_does_not_send_is_given_up_when_an_attempt_may_take_any_time(
    server: HttpServer, fault: str
) -> None:
    options = quick(total_timeout_s=float("inf"), timeout_s=0.3, low_speed_time_s=0.2)
    outcome = fetch_one(server.url(f"/fault/{fault}"), options)

    assert outcome.cause is (Cause.TIMEOUT_FIRST_BYTE if fault == "hang" else Cause.TOO_SLOW)


@pytest.mark.parametrize(
    ("headers", "status", "empty"),
    [
        (b"Content-Length: 0", 200, True),
        (b"Content-Length: 0", 203, True),
        (b"Content-Length: 0", 202, False),
        (b"Connection: close", 200, False),
    ],
)
def test_empty_body_is_a_file_when_asked_for_and_the_response_says_so(
    server: HttpServer, headers: bytes, status: int, empty: bool
) -> None:
    async def handler(exchange) -> bool:
        await exchange.send(b"HTTP/1.1 %d OK\r\n%b\r\n\r\n" % (status, headers))
        exchange.close()
        return True

    server.handler = handler
    url = server.url("/a")

    assert fetch_one(url).cause is Cause.EMPTY_BODY
    outcome = fetch_one(url, quick(allow_empty=True))
    expected = (b"", None) if empty else (None, Cause.EMPTY_BODY)
    assert (outcome.body, outcome.cause) == expected
