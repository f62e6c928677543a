from itertools import pairwise
from math import inf
from random import Random

import pytest

from dataset_assets.fetch.hosts.politeness import (
    GIVEN_UP_S,
    MAX_FIRST_PAUSES,
    MAX_PAUSES,
    Host,
    Hosts,
    RequestEnd,
)
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause


def _hosts(**options: object) -> Hosts:
    return Hosts(FetchOptions(**options), Random(1))  # type: ignore[arg-type]


def _end(
    now: float, status: int, cause: Cause | None = None, retry_after_s: float | None = None
) -> RequestEnd:
    return RequestEnd(now, status, cause, retry_after_s)


def _run(hosts: Hosts, now: float, end: RequestEnd) -> Host | None:
    """Let one request to a.com start and end."""
    host = hosts.limited_host("a.com", now)
    if host is not None:
        hosts.record_start("a.com", host, now)
        if end.status:
            hosts.record_answer(host, end.status)
    return hosts.record_end("a.com", host, end, now)


def _fail(hosts: Hosts, now: float, end: RequestEnd | None = None) -> Host:
    found = _run(hosts, now, end or _end(now, 429, Cause.HTTP_RATE_LIMITED))
    assert found is not None
    return found


def _good_hosts(**options: object) -> Hosts:
    hosts = _hosts(**options)
    _run(hosts, 0, _end(0, 200))
    return hosts


def test_host_has_no_entry_when_it_has_answered_well() -> None:
    hosts = _good_hosts()

    assert hosts.limited_host("a.com", 0) is None
    assert hosts.record_end("a.com", None, _end(0, 200), 0) is None
    assert hosts.hosts == {}


def test_new_host_gets_two_requests_until_a_header_proves_it() -> None:
    hosts = _hosts()
    host = hosts.limited_host("a.com", 0)
    assert host is not None
    hosts.record_start("a.com", host, 0)
    assert host.wait_s(0) == 0
    hosts.record_start("a.com", host, 0)
    assert host.wait_s(0) == inf
    hosts.record_answer(host, 200)

    assert host.wait_s(0) == 0


def test_new_host_is_given_up_after_two_timeouts() -> None:
    hosts = _hosts()
    timeout = _end(0, 0, Cause.TIMEOUT_FIRST_BYTE)

    assert _fail(hosts, 10, timeout).given_up_until == 0
    assert _fail(hosts, 10, timeout).given_up_until == 10 + GIVEN_UP_S


def test_new_host_is_not_given_up_when_one_url_times_out_again() -> None:
    hosts = _hosts()
    host = _fail(hosts, 10, _end(0, 0, Cause.TIMEOUT_CONNECT))
    _fail(hosts, 20, _end(10, 0, Cause.TIMEOUT_CONNECT)._replace(is_retry=True))

    assert host.given_up_until == 0


def test_refusals_of_a_new_host_are_probed_until_they_span_some_time() -> None:
    hosts, now, starts = _hosts(backoff_s=1), 0.0, []
    while not hosts.hosts or not hosts.hosts["a.com"].given_up_until:
        starts.append(now)
        host = _fail(hosts, now, _end(now, 0, Cause.CONNECTION_REFUSED))
        now = max(now, host.paused_until)

    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert len(gaps) == 3
    assert all(0.75 * 2**n <= gap <= 2**n for n, gap in enumerate(gaps))


def test_hosts_are_not_given_up_for_an_outage_of_the_own_network() -> None:
    hosts = _hosts(backoff_s=1)
    for n in range(40):
        hosts.record_end(f"h{n}.com", None, _end(0, 0, Cause.TIMEOUT_CONNECT), 10)
    assert not hosts.outage.holds(10)  # nothing for long yet
    assert not hosts.outage.holds(16)  # one row is a probe
    assert hosts.outage.holds(16)
    hosts.record_end("h1.com", None, _end(10, 0, Cause.TIMEOUT_CONNECT), 20)
    assert hosts.hosts["h1.com"].given_up_until == 20 + GIVEN_UP_S
    _run(hosts, 21, _end(21, 200))

    assert not hosts.outage.holds(21)
    assert hosts.hosts["h1.com"].given_up_until <= 21


def test_pauses_double_up_to_the_limit_when_a_host_overloads_again_and_again() -> None:
    hosts, now, pauses = _good_hosts(backoff_s=1, max_backoff_s=10), 0.0, []
    for _ in range(MAX_PAUSES):
        host = _fail(hosts, now)
        pauses.append(host.wait_s(now))
        now = host.paused_until

    assert [round(pause + 0.5) for pause in pauses] == pytest.approx([1, 2, 4, 8], abs=1)
    assert all(earlier < later for earlier, later in pairwise(pauses))
    assert _fail(hosts, now).given_up_until == now + GIVEN_UP_S


def test_host_is_given_up_sooner_when_it_has_only_ever_said_429() -> None:
    hosts, now = _hosts(), 0.0
    for _ in range(MAX_FIRST_PAUSES):
        now = _fail(hosts, now).paused_until

    assert _fail(hosts, now).given_up_until == now + GIVEN_UP_S


def test_gap_doubles_with_every_429_and_shrinks_with_every_good_response() -> None:
    hosts, now, gaps = _good_hosts(), 0.0, []
    for _ in range(3):
        host = _fail(hosts, now, _end(now, 429, Cause.HTTP_RATE_LIMITED, 1))
        gaps.append(host.gap_s)
        now = max(host.paused_until, host.next_start)
    _run(hosts, now, _end(now, 200))

    assert gaps == [0.05, 0.1, 0.2]
    assert host.gap_s == pytest.approx(0.198)
    assert host.wait_s(now) == pytest.approx(0.2)


def test_pause_is_what_the_host_asks_for_when_it_says_so() -> None:
    assert _fail(_hosts(), 0, _end(0, 429, Cause.HTTP_RATE_LIMITED, 7)).wait_s(0) == 7
    assert _fail(_hosts(), 0, _end(0, 503, Cause.HTTP_SERVER_ERROR, 7)).wait_s(0) == 7
    assert (
        _fail(_hosts(max_retry_after_s=3), 0, _end(0, 429, Cause.HTTP_RATE_LIMITED, 7)).wait_s(0)
        == 3
    )


@pytest.mark.parametrize(
    "end",
    [
        (503, Cause.HTTP_SERVER_ERROR),
        (0, Cause.CONNECTION_REFUSED),
        (0, Cause.TIMEOUT_CONNECT),
        (0, Cause.TIMEOUT_FIRST_BYTE),
    ],
)
def test_good_host_is_paused_only_after_three_in_a_row_when_a_failure_says_little(
    end: tuple[int, Cause],
) -> None:
    hosts = _good_hosts()

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
    hosts = _good_hosts(max_connections=3)
    host = _fail(hosts, 0, _end(0, 503, Cause.HTTP_SERVER_ERROR))
    for _ in range(2):
        _fail(hosts, 0, _end(0, 503, Cause.HTTP_SERVER_ERROR))
    now = host.paused_until
    limits = []
    while hosts.hosts:
        limits.append(host.limit)
        _run(hosts, now, _end(now, 200))

    assert limits == [1, 2, 3]
    assert host.limit == inf


def test_pauses_add_up_to_the_promise_when_a_host_never_stops() -> None:
    hosts, now = _good_hosts(max_backoff_s=1, backoff_s=1, max_retry_after_s=4), 0.0
    waited = 0.0
    for _ in range(100):
        host = _fail(hosts, now, _end(now, 429, Cause.HTTP_RATE_LIMITED, 1))
        waited += host.wait_s(now)
        now += host.wait_s(now)
        _run(hosts, now, _end(now, 200))

    assert 4 < waited <= 5.001


def test_memory_is_bounded_when_many_hosts_fail_once() -> None:
    hosts = _hosts()
    for n in range(50_000):
        hosts.record_end(f"h{n}", None, _end(0, 0, Cause.CONNECTION_REFUSED), 0)

    assert len(hosts.hosts) <= 20_000


def test_only_paused_hosts_are_remembered_when_a_new_call_begins() -> None:
    hosts = _hosts()
    _fail(hosts, 0, _end(0, 429, Cause.HTTP_RATE_LIMITED, 7))
    hosts.record_end("b.com", None, _end(0, 0, Cause.CONNECTION_REFUSED), 0)
    hosts.start_stream(5)

    assert list(hosts.hosts) == ["a.com"]
