"""One server per test that injects faults, and a way to fetch from it with short limits."""

from collections.abc import Iterator
from typing import Any

import pytest

from dataset_assets.fetch.client import Fetcher
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.fetching import FetchOutcome, Request
from dataset_assets_tests.support.http_server import HttpServer

LOCAL = ("127.0.0.0/8", "::1/128")


def quick(**changes: Any) -> FetchOptions:
    """Options for this machine, with limits short enough for a test."""
    values: dict[str, Any] = {
        "allow_private_networks": LOCAL,
        "timeout_s": 0.5,
        "low_speed_time_s": 0.3,
        "backoff_s": 0.02,
        "max_backoff_s": 0.1,
    }
    return FetchOptions(**(values | changes))


def fetch_all(
    urls: list[Any], options: FetchOptions | None = None, **arguments: Any
) -> list[FetchOutcome]:
    """Fetch URLs; return the outcomes in their order. Checks that each has exactly one."""
    with Fetcher(options or quick(), **arguments) as fetcher:
        outcomes = list(fetcher.fetch(Request(url, token) for token, url in enumerate(urls)))
    assert sorted(outcome.token for outcome in outcomes) == list(range(len(urls)))
    return sorted(outcomes, key=lambda outcome: outcome.token)


def fetch_one(url: Any, options: FetchOptions | None = None, **arguments: Any) -> FetchOutcome:
    """Fetch one URL."""
    return fetch_all([url], options, **arguments)[0]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running
