from itertools import pairwise
from math import inf
from random import Random

import pytest

from dataset_assets.fetch.hosts.politeness import GIVEN_UP_S, MAX_PAUSES, Host, Hosts, RequestEnd
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause


def _hosts(**options: object) -> Hosts:
    return Hosts(FetchOptions(**options), Random(1))  # type: ignore[arg-type]


def _end(
    now: float, status: int, cause: Cause | None = None, retry_after_s: float | None = None
) -> RequestEnd:
    return RequestEnd(now, status, cause, retry_after_s)


def _fail(hosts: Hosts, now: float, end: RequestEnd | None = None) -> Host:
    host = hosts.limited_host("a.com", now)
    if host is not None:
        hosts.record_start(host, now)
    found = hosts.record_end("a.com", host, end or _end(now, 429, Cause.HTTP_RATE_LIMITED), now)
    assert found is not None
    return found


def test_host_has_no_entry_when_it_has_no_trouble() -> None:
    hosts = _hosts()

    assert hosts.limited_host("a.com", 0) is None
    assert hosts.record_end("a.com", None, _end(0, 200), 0) is None
    assert hosts.hosts == {}


def test_pauses_double_up_to_the_limit_when_a_host_overloads_again_and_again() -> None:
    hosts, now, pauses = _hosts(backoff_s=1, max_backoff_s=10), 0.0, []
    for _ in range(MAX_PAUSES):
        host = _fail(hosts, now)
        pauses.append(host.wait_s(now))
        now = host.paused_until

    assert [round(pause + 0.5) for pause in pauses] == pytest.approx([1, 2, 4, 8, 10], abs=1)
    assert all(earlier < later for earlier, later in pairwise(pauses))
    assert _fail(hosts, now).given_up_until == now + GIVEN_UP_S


def test_pause_is_what_the_host_asks_for_when_it_says_so() -> None:
    assert _fail(_hosts(), 0, _end(0, 429, Cause.HTTP_RATE_LIMITED, 7)).wait_s(0) == 7
    assert _fail(_hosts(), 0, _end(0, 503, Cause.HTTP_SERVER_ERROR, 7)).wait_s(0) == 7
    assert (
        _fail(_hosts(max_retry_after_s=3), 0, _end(0, 429, Cause.HTTP_RATE_LIMITED, 7)).wait_s(0)
        == 3
    )


@pytest.mark.parametrize(
    "end",
    [(503, Cause.HTTP_SERVER_ERROR), (0, Cause.CONNECTION_REFUSED), (0, Cause.TIMEOUT_CONNECT)],
)
def test_host_is_paused_only_after_three_in_a_row_when_a_failure_says_little(
    end: tuple[int, Cause],
) -> None:
    hosts = _hosts()

    assert [_fail(hosts, 0, _end(0, *end)).paused_until > 0 for _ in range(3)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "end",
    [
        (404, Cause.HTTP_NOT_FOUND),
        (500, Cause.HTTP_SERVER_ERROR),
        (0, Cause.DNS_NOT_FOUND),
        (0, Cause.TLS_ERROR),
    ],
)
def test_host_is_never_paused_when_the_failure_is_not_its_own(end: tuple[int, Cause]) -> None:
    hosts = _hosts()
    for _ in range(20):
        hosts.record_end("a.com", None, _end(0, *end), 0)

    assert hosts.hosts == {}


def test_many_failures_are_one_when_they_were_sent_before_the_pause() -> None:
    hosts = _hosts()
    for _ in range(50):
        host = hosts.record_end("a.com", None, _end(0, 429, Cause.HTTP_RATE_LIMITED), 1)

    assert host is not None
    assert (host.pauses, host.given_up_until) == (1, 0)


def test_speed_comes_back_one_by_one_when_a_host_answers_again() -> None:
    hosts = _hosts(max_connections=3)
    host = _fail(hosts, 0)
    now = host.paused_until
    limits = []
    while hosts.hosts:
        limits.append(host.limit)
        hosts.record_start(host, now)
        hosts.record_end("a.com", host, _end(now, 200), now)

    assert limits == [1, 2, 3]
    assert host.limit == inf


def test_pauses_add_up_to_the_promise_when_a_host_never_stops() -> None:
    hosts, now = _hosts(max_backoff_s=1, backoff_s=1, max_retry_after_s=4), 0.0
    waited = 0.0
    for _ in range(100):
        host = _fail(hosts, now, _end(now, 429, Cause.HTTP_RATE_LIMITED, 1))
        waited += host.wait_s(now)
        now = max(now, host.paused_until)
        hosts.record_start(host, now)
        hosts.record_end("a.com", host, _end(now, 200), now)

    assert waited == pytest.approx(5)


def test_memory_is_bounded_when_many_hosts_fail_once() -> None:
    hosts = _hosts()
    for n in range(50_000):
        hosts.record_end(f"h{n}", None, _end(0, 0, Cause.CONNECTION_REFUSED), 0)

    assert len(hosts.hosts) <= 20_000


def test_only_paused_hosts_are_remembered_when_a_new_call_begins() -> None:
    hosts = _hosts()
    _fail(hosts, 0)
    hosts.record_end("b.com", None, _end(0, 0, Cause.CONNECTION_REFUSED), 0)
    hosts.start_stream(0.1)

    assert list(hosts.hosts) == ["a.com"]
