import pytest

from dataset_assets.fetch._causes import Failure
from dataset_assets.fetch._target import Target, parse
from dataset_assets.fetch.hosts import robots as _robots
from dataset_assets.fetch.hosts.robots import RobotsCache
from dataset_assets.records.causes import Cause


def _target(url: str) -> Target:
    target = parse(url)
    assert isinstance(target, Target)
    return target


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rules_are_forgotten_when_a_day_has_passed() -> None:
    clock = _Clock()
    robots = RobotsCache("bot", clock)
    robots.store("http://a.com", b"User-agent: *\nDisallow: /x")
    clock.now = 24 * 3600 - 1
    assert robots.knows("http://a.com")
    clock.now = 24 * 3600
    assert not robots.knows("http://a.com")


def test_failure_is_forgotten_sooner_when_there_may_be_rules_later() -> None:
    clock = _Clock()
    robots = RobotsCache("bot", clock)
    robots.store_failure("http://a.com", 503, Failure(Cause.HTTP_SERVER_ERROR, "HTTP Error 503"))
    clock.now = 301

    assert not robots.knows("http://a.com")


@pytest.mark.parametrize(
    ("status", "cause", "meant"),
    [
        (404, Cause.HTTP_NOT_FOUND, None),
        (401, Cause.HTTP_FORBIDDEN, None),
        (429, Cause.HTTP_RATE_LIMITED, Cause.ROBOTS_TXT),
        (500, Cause.HTTP_SERVER_ERROR, Cause.ROBOTS_TXT),
        (0, Cause.TIMEOUT_FIRST_BYTE, Cause.ROBOTS_TXT),
        (0, Cause.DNS_NOT_FOUND, Cause.DNS_NOT_FOUND),
        (0, Cause.CONNECTION_REFUSED, Cause.CONNECTION_REFUSED),
        (0, Cause.TLS_ERROR, Cause.TLS_ERROR),
    ],
)
def test_what_a_missing_file_means_depends_on_why_when_it_is_missing(
    status: int, cause: Cause, meant: Cause | None
) -> None:
    robots = RobotsCache("bot", _Clock())
    robots.store_failure("http://a.com", status, Failure(cause, "because"))
    failure = robots.refuses(_target("http://a.com/x"))

    assert (failure and failure.cause) == meant


def test_path_is_judged_as_it_is_sent_when_it_has_dots_and_a_query() -> None:
    robots = RobotsCache("bot", _Clock())
    robots.store("http://a.com", b"User-agent: bot\nDisallow: /private/\nDisallow: /*?secret=")

    assert robots.refuses(_target("http://a.com/open/../private/x")) is not None
    assert robots.refuses(_target("http://a.com/open?secret=1")) is not None
    assert robots.refuses(_target("http://a.com/open?other=1")) is None


def test_memory_is_bounded_when_origins_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_robots, "_MAX_ORIGINS", 10)
    robots = RobotsCache("bot", _Clock())
    for n in range(30):
        robots.store(f"http://h{n}", b"")
        robots.knows("http://h0")

    assert robots.knows("http://h0")
    assert sum(robots.knows(f"http://h{n}") for n in range(30)) == 10
