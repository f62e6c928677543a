"""A file on a server is read like a local one, with few requests and never a wrong byte."""

import hashlib
import io
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.fetch.ranges import RangeFile, RangeOptions
from dataset_assets.fetch.session import Session, SessionOptions
from dataset_assets_tests.support.archive_server import FOREVER, ArchiveServer

DATA = random.Random(0).randbytes(3_000_000)
NAME = "train2017.zip"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ArchiveServer]:
    (tmp_path / NAME).write_bytes(DATA)
    (tmp_path / "empty").write_bytes(b"")
    with ArchiveServer(tmp_path) as running:
        yield running


def session(pauses: list[float] | None = None, **options) -> Session:
    quick = {"backoff_s": 0.001, "max_backoff_s": 0.01, "timeout_s": 0.5}
    return Session(
        SessionOptions(**(quick | options)), **({} if pauses is None else {"sleep": pauses.append})
    )


def remote(
    server: ArchiveServer, name: str = NAME, visitor: Session | None = None, **options
) -> RangeFile:
    return RangeFile(
        server.url(name), session=visitor or session(), options=RangeOptions(**options)
    )


def test_file_is_read_with_two_requests_when_read_forward(server):
    with remote(server) as file:
        assert b"".join(iter(lambda: file.read(30_000), b"")) == DATA
        assert (file.bytes, file.requests, file.bytes_read) == (len(DATA), 2, len(DATA))
        assert file.validator == f'"{(server.folder / NAME).stat().st_mtime_ns:x}-{len(DATA):x}"'
    assert server.ranges(NAME) == ["bytes=0-65535", "bytes=65536-"]
    assert server.bytes_sent(NAME) == len(DATA)


@pytest.mark.parametrize(("size", "requests"), [(1, 1), (65_535, 1), (65_536, 1), (65_537, 2)])
def test_small_file_is_read_with_one_request_when_it_fits(server, size, requests):
    (server.folder / "small").write_bytes(DATA[:size])
    with remote(server, "small") as file:
        assert file.read() == DATA[:size]
    assert server.requests("small") == requests


def test_empty_file_is_read_when_there_is_no_range_of_it(server):
    with remote(server, "empty") as file:
        assert (file.bytes, file.read(), file.seek(0, 2), file.read(5)) == (0, b"", 0, b"")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(-3_100_000, 3_100_000), st.sampled_from([0, 1, 2]), st.integers(0, 400_000)
        ),
        max_size=8,
    ),
    cuts=st.lists(st.integers(1, len(DATA) - 1), max_size=4),
    skip_bytes=st.sampled_from([0, 100_000, 4_000_000]),
    buffer_bytes=st.sampled_from([1000, 1_000_000]),
)
def test_reads_are_those_of_a_file_on_disk_when_sought_and_cut_at_random(
    server, steps, cuts, skip_bytes, buffer_bytes
):
    server.heal()
    for cut in cuts:
        server.cut_at(NAME, cut)
    plain = io.BytesIO(DATA)
    with remote(server, skip_bytes=skip_bytes, buffer_bytes=buffer_bytes) as file:
        for offset, whence, length in steps:
            place = (0, plain.tell(), len(DATA))[whence] + offset
            if place >= 0:
                assert file.seek(place) == plain.seek(place)
            assert file.read(length) == plain.read(length)
            assert file.tell() == plain.tell()


def test_gap_is_read_over_when_it_is_small(server):
    with remote(server, skip_bytes=1_000_000, buffer_bytes=10_000) as file:
        file.read(10)
        file.seek(900_000)
        assert file.read(10) == DATA[900_000:900_010]
        file.seek(2_500_000)
        assert file.read(10) == DATA[2_500_000:2_500_010]
    assert server.ranges(NAME) == ["bytes=0-65535", "bytes=900000-", "bytes=2500000-"]


def test_connection_is_kept_when_an_answer_was_read_to_its_end(server):
    visitor = session()
    with remote(server, visitor=visitor) as file:
        file.seek(-1000, 2)
        file.read()
        file.seek(-2000, 2)
        file.read()
    assert (
        visitor._pool.connection_from_url(server.url()).num_connections <= 2
    )  # one for the beginning that was given up


@pytest.mark.parametrize("fault", ["cut_after", "stall_after"])
def test_read_goes_on_at_the_next_byte_when_the_connection_breaks(server, fault):
    getattr(server, fault)(NAME, 500_000, 3)
    with remote(server, visitor=session(timeout_s=0.2)) as file:
        assert file.read() == DATA
    ranges = server.ranges(NAME)
    assert len(ranges) == 5
    assert ranges[2:] == [f"bytes={65_536 + 500_000 * number}-" for number in (1, 2, 3)]
    assert all(
        seen.headers["if-range"] == server.log[1].headers["if-range"] for seen in server.log[1:]
    )


def test_any_number_of_cuts_is_survived_when_each_time_some_bytes_came(server):
    server.cut_after(NAME, 100_000, FOREVER)
    with remote(server, visitor=session(retries=1)) as file:
        assert hashlib.md5(file.read()).digest() == hashlib.md5(DATA).digest()


def test_reading_gives_up_when_no_progress_is_made(server):
    server.cut_after(NAME, 100, FOREVER)
    with pytest.raises(
        SourceError, match=r"train2017.zip: .*gave up after 4 attempts without progress"
    ):
        remote(server, visitor=session(retries=3)).read()
    assert server.requests(NAME) == 4


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_request_is_repeated_after_growing_pauses_when_the_server_is_overloaded(server, code):
    pauses: list[float] = []
    server.status(NAME, code, 3)
    with remote(server, visitor=session(pauses, backoff_s=1, max_backoff_s=3)) as file:
        assert file.read(10) == DATA[:10]
    assert pauses == [1, 2, 3]


def test_pause_is_as_long_as_asked_when_the_server_says_so(server):
    pauses: list[float] = []
    server.status(NAME, 429, 1, retry_after=7)
    with remote(server, visitor=session(pauses)) as file:
        assert file.read(1) == DATA[:1]
    assert pauses == [7]


def test_reading_gives_up_when_the_server_asks_for_more_patience_than_allowed(server):
    server.status(NAME, 503, 1, retry_after=999_999)
    with pytest.raises(SourceError, match=r"asks to wait 999,999 s, longer than 300 s"):
        remote(server)


@pytest.mark.parametrize("code", [401, 403, 404, 410, 451])
def test_reading_fails_at_once_when_there_is_no_such_file(server, code):
    server.status(NAME, code, FOREVER)
    with pytest.raises(SourceError, match=f"expected a file, got HTTP status {code}"):
        remote(server)
    assert server.requests() == 1


@pytest.mark.parametrize(
    ("validators", "size"),
    [(True, 2_999_999), (True, 3_000_000), (True, 1000), (False, 2_999_999), (False, 1000)],
)
def test_two_versions_are_never_mixed_when_the_file_changes(server, validators, size):
    if not validators:
        server.no_validators(NAME)
    with remote(server) as file:
        file.read(1000)
        (server.folder / NAME).write_bytes(os.urandom(size))
        os.utime(server.folder / NAME, (1, 1))
        with pytest.raises(SourceError, match="the file changed on its server while it was read"):
            file.read()


def test_file_is_read_forward_when_the_server_sends_no_ranges(server):
    server.no_ranges(NAME)
    with remote(server, skip_bytes=0) as file:
        file.seek(1_000_000)
        assert file.read() == DATA[1_000_000:]
    assert server.requests() == 1


@pytest.mark.parametrize("when", ["cut", "sought back"])
def test_reading_fails_with_advice_when_the_server_sends_no_ranges(server, when):
    server.no_ranges(NAME)
    if when == "cut":
        server.cut_after(NAME, 2_000_000)
    with remote(server, buffer_bytes=1000) as file:
        file.seek(1_500_000)
        if when == "sought back":
            assert file.read() == DATA[1_500_000:]
            file.seek(0)
        with pytest.raises(
            SourceError,
            match="the server does not support ranges, so reading cannot resume at byte",
        ):
            file.read()


def test_reading_fails_when_ranges_are_no_longer_sent(server):
    with remote(server) as file:
        server.no_ranges(NAME)
        with pytest.raises(SourceError, match="does not support ranges"):
            file.read()


def test_file_is_refused_when_its_length_is_not_told(server):
    server.no_ranges(NAME)
    server.no_length(NAME)
    with pytest.raises(SourceError, match="does not report the size of the file"):
        remote(server)


def test_redirect_is_followed_for_each_range_when_the_file_lies_elsewhere(server):
    server.redirect("latest.zip", server.url(NAME))
    with remote(server, "latest.zip") as file:
        assert file.read() == DATA
    assert (server.requests("latest.zip"), server.requests(NAME)) == (2, 2)


def test_crawling_server_is_given_up_when_it_sends_a_few_bytes_now_and_then(server):
    server.slow(NAME, 500)
    begun = time.monotonic()
    with pytest.raises(SourceError, match="bytes/s at byte .*gave up after 2 attempts"):
        remote(
            server, visitor=session(retries=1), low_speed_time_s=0.3, low_speed_bytes_per_s=10_000
        ).read()
    assert time.monotonic() - begun < 5


def test_signature_is_in_no_message_when_a_url_has_one(server):
    url = server.url("missing.zip") + "?X-Amz-Signature=topsecret"
    with pytest.raises(SourceError, match="HTTP status 404") as caught:
        RangeFile(url, session=session())
    assert "topsecret" not in str(caught.value)
    assert "topsecret" not in repr(
        RangeFile(server.url(NAME) + "?X-Amz-Signature=topsecret", session=session())
    )


def test_closed_file_is_not_read_when_it_is_used_again(server):
    file = remote(server)
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


@pytest.mark.parametrize(
    "options",
    [{"buffer_bytes": 0}, {"first_bytes": -1}, {"skip_bytes": -1}, {"low_speed_time_s": 0}],
)
def test_options_are_refused_when_they_can_not_work(options):
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))}: expected"):
        RangeOptions(**options)
