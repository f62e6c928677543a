"""Fetches many URLs concurrently. Each ends in exactly one outcome, never in an exception.

    with Fetcher(FetchOptions(timeout_s=5)) as fetcher:
        for outcome in fetcher.fetch(Request(url) for url in urls):
            ...

One thread does all the work with libcurl; the consumer's speed limits how many requests start.
Connections, addresses and the state of hosts are kept between calls of `fetch`. A fetcher belongs
to one process: create a new one after a fork.
"""

import time
from collections.abc import Callable, Generator, Iterable
from threading import Lock, Thread
from typing import Any, Self, overload

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.engine.backlog import Backlog, RequestFeed
from dataset_assets.fetch.engine.dispatch import FetchStats
from dataset_assets.fetch.engine.fetch_loop import FetcherState, FetchLoop
from dataset_assets.fetch.hosts.resolver import Lookup, system_lookup
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.fetching import FetchOutcome, Request

_JOIN_S = 1.0


class Fetcher:
    """Fetches URLs.

    Args:
        options: limits, retries and identification.
        seed: of the jitter in pauses.
        clock: monotonic seconds.
        lookup: host and port -> numeric addresses, for resolvers other than the system's.
    """

    def __init__(
        self,
        options: FetchOptions,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._state = FetcherState(options, seed=seed, clock=clock, lookup=lookup)
        self._loop: FetchLoop | None = None
        self._backlog: Backlog | None = None
        self._thread: Thread | None = None
        self._in_use = Lock()

    @property
    def stats(self) -> FetchStats:
        """What this fetcher has done so far, over all calls of `fetch`."""
        return self._state.stats

    @overload
    def fetch(self, requests: Iterable[Request | None]) -> Generator[FetchOutcome]: ...

    @overload
    def fetch(
        self, requests: Iterable[Request | None], *, heartbeat_s: float
    ) -> Generator[FetchOutcome | None]: ...

    def fetch(
        self, requests: Iterable[Request | None], *, heartbeat_s: float | None = None
    ) -> Generator[Any]:
        """Fetch URLs and yield their outcomes in the order in which they end.

        Closing the generator stops all transfers within a second.

        Args:
            requests: pulled on the fetch thread, one at a time, while there is room. None means
                that there is nothing to start before the consumer asks for the next outcome.
            heartbeat_s: yield None after each such number of seconds without an outcome.

        Raises:
            ConfigurationError: another `fetch` of this fetcher has not ended.
        """
        if not self._in_use.acquire(blocking=False):
            raise ConfigurationError(
                "this Fetcher is already fetching; finish or close that generator first, or create "
                "another Fetcher"
            )
        try:
            yield from self._fetch(RequestFeed(requests), heartbeat_s)
        finally:
            self._in_use.release()

    def wake(self) -> None:
        """Make a waiting `fetch` with a heartbeat yield None at once. For other threads."""
        backlog = self._backlog
        if backlog is not None:
            backlog.wake_consumer()

    def close(self) -> None:
        """Stop a running fetch and close all connections. The fetcher can be used again."""
        self._stop()
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _fetch(
        self, feed: RequestFeed, heartbeat_s: float | None
    ) -> Generator[FetchOutcome | None]:
        loop = self._loop
        if loop is None or loop.closed:
            loop = self._loop = FetchLoop(self._state)
        self._backlog = loop.new_backlog()
        self._thread = Thread(
            target=loop.serve, args=(feed, self._backlog), name="fetch", daemon=True
        )
        self._thread.start()
        try:
            yield from self._backlog.outcomes(heartbeat_s)
        finally:
            self._stop()

    def _stop(self) -> None:
        if self._backlog is None or self._thread is None:
            return
        self._backlog.stop()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            # The caller's iterable blocks. When it returns, the thread itself closes the loop.
            self._loop = None
        self._backlog = None
        self._thread = None
