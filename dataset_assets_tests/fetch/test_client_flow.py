"""Flow control: order, back-pressure, stopping, errors of the caller, kept and closed sockets."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.client import Fetcher
from dataset_assets.fetch.engine import event_loop
from dataset_assets.fetch.engine.poller import SelectorPoller
from dataset_assets.records.fetching import Request
from dataset_assets_tests.fetch.conftest import fetch_all, quick
from dataset_assets_tests.support.http_exchange import payload
from dataset_assets_tests.support.http_server import HttpServer


def _descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def _fetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fetch"]


def test_outcomes_come_as_they_end_when_some_are_slow(server: HttpServer) -> None:
    with Fetcher(quick()) as fetcher:
        outcomes = list(
            fetcher.fetch(
                [
                    Request(server.url("/slow/0.2/10"), "slow"),
                    Request(server.url("/bytes/10"), "fast"),
                ]
            )
        )

    assert [outcome.token for outcome in outcomes] == ["fast", "slow"]


def test_nothing_times_out_and_little_is_started_when_the_consumer_is_slow(
    server: HttpServer,
) -> None:
    with Fetcher(
        quick(max_connections=4, max_buffered_bytes=2_000_000, timeout_s=0.2, low_speed_time_s=0.2)
    ) as fetcher:
        outcomes = fetcher.fetch(Request(server.url(f"/bytes/500000?{n}")) for n in range(40))
        first = next(outcomes)
        time.sleep(1)
        started = server.requests
        rest = list(outcomes)

    assert {outcome.cause for outcome in [first, *rest]} == {None}
    assert (
        started <= 9
    )  # 2 MB are 4 bodies, and each of the 4 connections may have had one under way


def test_requests_are_pulled_lazily_when_the_consumer_is_slow(server: HttpServer) -> None:
    pulled = 0

    def requests() -> Iterator[Request]:
        nonlocal pulled
        for n in range(1000):
            pulled += 1
            yield Request(server.url(f"/bytes/10?{n}"))

    with Fetcher(quick(max_connections=4)) as fetcher:
        outcomes = fetcher.fetch(requests())
        next(outcomes)
        time.sleep(0.3)
        assert pulled <= 8 + 4 + 1
        assert len(list(outcomes)) == 999


def test_requests_that_fail_at_once_count_as_room_when_the_consumer_is_slow() -> None:
    pulled = 0

    def requests() -> Iterator[Request]:
        nonlocal pulled
        for _ in range(100_000):
            pulled += 1
            yield Request("nonsense")

    with Fetcher(quick(max_connections=4)) as fetcher:
        outcomes = fetcher.fetch(requests())
        next(outcomes)
        time.sleep(0.2)
        assert pulled < 50
        outcomes.close()


def test_caller_is_asked_again_after_an_outcome_was_consumed_when_it_had_nothing(
    server: HttpServer,
) -> None:
    consumed = asked = 0

    def requests() -> Iterator[Request | None]:
        nonlocal asked
        for n in range(20):
            while consumed < n:  # one at a time, each after the last one was dealt with
                asked += 1
                yield None
            yield Request(server.url(f"/bytes/10?{n}"), n)

    with Fetcher(quick()) as fetcher:
        for outcome in fetcher.fetch(requests()):
            assert outcome.token == consumed
            time.sleep(0.002)
            consumed += 1

    assert consumed == 20
    assert server.peak == 1
    assert asked <= 60


def test_caller_is_asked_again_after_a_heartbeat_when_it_had_nothing(server: HttpServer) -> None:
    beats = 0

    def requests() -> Iterator[Request | None]:
        yield Request(server.url("/slow/0.4/10"))
        while beats < 2:
            yield None
        yield Request(server.url("/bytes/20"))

    with Fetcher(quick(timeout_s=2)) as fetcher:
        seen = []
        for outcome in fetcher.fetch(requests(), heartbeat_s=0.05):
            beats += outcome is None
            seen.append(outcome and outcome.bytes_read)

    assert seen[:2] == [None, None]
    assert [size for size in seen if size] == [20, 10]


def test_caller_is_asked_again_when_nothing_is_under_way(server: HttpServer) -> None:
    later = time.monotonic() + 0.1

    def requests() -> Iterator[Request | None]:
        while time.monotonic() < later:
            yield None
        yield Request(server.url("/bytes/10"))

    with Fetcher(quick()) as fetcher:
        assert len(list(fetcher.fetch(requests()))) == 1


def test_nothing_times_out_when_the_caller_blocks_for_long(server: HttpServer) -> None:
    def requests() -> Iterator[Request]:
        yield Request(server.url("/slow/0.3/10"))
        yield Request(server.url("/bytes/1000000"))
        time.sleep(1.5)
        yield Request(server.url("/bytes/10"))

    with Fetcher(quick(max_connections=3, timeout_s=0.5, low_speed_time_s=0.3)) as fetcher:
        assert {outcome.cause for outcome in fetcher.fetch(requests())} == {None}


def test_error_of_the_caller_reaches_the_consumer_when_its_requests_fail(
    server: HttpServer,
) -> None:
    def requests() -> Iterator[Request]:
        yield Request(server.url("/bytes/10"))
        raise LookupError("the list ends here")

    with Fetcher(quick()) as fetcher:
        with pytest.raises(LookupError, match="ends here"):
            list(fetcher.fetch(requests()))
        assert len(list(fetcher.fetch([Request(server.url("/bytes/10"))]))) == 1


def test_everything_stops_within_a_second_when_the_generator_is_closed(server: HttpServer) -> None:
    before = _descriptors()
    fetcher = Fetcher(quick(timeout_s=30))
    outcomes = fetcher.fetch(
        Request(server.url(path)) for path in ["/bytes/10"] + ["/fault/hang"] * 50
    )
    next(outcomes)
    began = time.monotonic()
    outcomes.close()

    assert time.monotonic() - began < 1
    assert not _fetch_threads()
    deadline = time.monotonic() + 2
    while (
        _descriptors() > before and time.monotonic() < deadline
    ):  # the server's ends of the connections close a little later
        time.sleep(0.01)
    assert _descriptors() <= before
    assert len(list(fetcher.fetch([Request(server.url("/bytes/10"))]))) == 1
    fetcher.close()


def test_everything_stops_when_the_fetcher_is_closed_before_the_end(server: HttpServer) -> None:
    with Fetcher(quick(timeout_s=30)) as fetcher:
        outcomes = fetcher.fetch(
            Request(server.url(path)) for path in ["/bytes/10"] + ["/fault/hang"] * 10
        )
        next(outcomes)

    assert not _fetch_threads()
    assert list(outcomes) == []


def test_closing_does_not_wait_when_the_caller_blocks(server: HttpServer) -> None:
    release = threading.Event()

    def requests() -> Iterator[Request]:
        yield Request(server.url("/bytes/10"))
        release.wait(10)

    fetcher = Fetcher(quick())
    outcomes = fetcher.fetch(requests())
    blocked = threading.Timer(2.5, release.set)
    blocked.start()
    began = time.monotonic()
    fetcher.close() if next(outcomes, None) is None else outcomes.close()

    assert time.monotonic() - began < 4
    assert len(list(fetcher.fetch([Request(server.url("/bytes/10"))]))) == 1
    release.set()
    blocked.cancel()
    fetcher.close()


def test_connection_is_kept_when_fetch_is_called_again(server: HttpServer) -> None:
    with Fetcher(quick(max_connections=1)) as fetcher:
        for _ in range(3):
            assert (
                len(list(fetcher.fetch(Request(server.url(f"/bytes/10?{n}")) for n in range(5))))
                == 5
            )

    assert server.connections == 1


def test_descriptors_do_not_grow_when_hosts_are_many(server: HttpServer) -> None:
    with Fetcher(quick(max_connections=16), lookup=lambda *_: ["127.0.0.1"]) as fetcher:
        counts = []
        for _ in range(4):
            list(
                fetcher.fetch(
                    Request(f"http://h{n}.example:{server.port}/bytes/10") for n in range(300)
                )
            )
            counts.append(_descriptors())

    assert counts[-1] <= counts[0] + 16


def test_second_fetch_is_refused_when_one_is_going_on(server: HttpServer) -> None:
    with Fetcher(quick()) as fetcher:
        outcomes = fetcher.fetch([Request(server.url("/bytes/10"))] * 3)
        next(outcomes)
        with pytest.raises(ConfigurationError, match="already fetching"):
            next(fetcher.fetch([]))
        outcomes.close()


def test_counters_add_up_when_redirects_and_retries_happen(server: HttpServer) -> None:
    with Fetcher(quick(retries=1)) as fetcher:
        urls = [
            server.url("/bytes/1000"),
            server.url("/redirect/2"),
            server.url("/flaky/1/500/x"),
            "nonsense",
        ]
        list(fetcher.fetch(Request(url) for url in urls))

    assert (fetcher.stats.requests, fetcher.stats.retries) == (server.requests, 1)
    assert fetcher.stats.bytes == 1000 + 100 + 7 + 100


def test_nothing_comes_when_nothing_is_asked() -> None:
    with Fetcher(quick()) as fetcher:
        assert list(fetcher.fetch([])) == []


def test_bodies_arrive_whole_when_the_standard_selector_is_used(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "new_poller", SelectorPoller)
    urls = [server.url(f"/bytes/{size}?{n}") for n in range(20) for size in (10, 300_000)] + [
        server.url("/fault/hang")
    ]

    assert [outcome.body for outcome in fetch_all(urls)] == [payload(10), payload(300_000)] * 20 + [
        None
    ]


def test_everything_is_fetched_when_few_files_may_be_open(
    server: HttpServer, tmp_path: Path
) -> None:
    script = tmp_path / "few.py"
    script.write_text(
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from dataset_assets.fetch.client import Fetcher\n"
        "from dataset_assets.fetch.options import FetchOptions\n"
        "from dataset_assets.records.fetching import Request\n"
        "options = FetchOptions(max_connections=256, allow_private_networks=('127.0.0.0/8',))\n"
        "with Fetcher(options, lookup=lambda *_: ['127.0.0.1']) as fetcher:\n"
        "    urls = (f'http://h{n}.example:{sys.argv[1]}/slow/0.01/100?{n}' for n in range(300))\n"
        "    outcomes = fetcher.fetch(Request(url) for url in urls)\n"
        "    print(sum(outcome.body is not None for outcome in outcomes))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(server.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path.cwd(),
    )

    assert (done.stdout.strip(), done.returncode) == ("300", 0), done.stderr
    assert 4 <= server.peak <= 48


def test_bodies_are_bounded_when_many_are_large_and_the_consumer_is_slow(
    server: HttpServer,
) -> None:
    with Fetcher(quick(max_connections=8, max_buffered_bytes=8_000_000)) as fetcher:
        outcomes = fetcher.fetch(Request(server.url(f"/bytes/4000000?{n}")) for n in range(30))
        for held, outcome in enumerate(outcomes, start=1):
            time.sleep(0.02)
            assert outcome.body is not None
            assert server.requests - held <= 8 + 2


def test_counter_of_insecure_redirects_is_zero_when_all_is_http(server: HttpServer) -> None:
    with Fetcher(quick()) as fetcher:
        list(fetcher.fetch([Request(server.url("/redirect/1"))]))

    assert fetcher.stats.insecure_redirects == 0
