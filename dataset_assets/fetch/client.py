"""Fetches urls: many at a time, each ending in exactly one outcome, never in an exception.

    with Fetcher(FetchOptions(timeout_s=5)) as fetcher:
        for outcome in fetcher.fetch(Request(url) for url in urls):
            ...

One thread does all the work with libcurl; the consumer's pace decides how much is started. Connections, addresses and what is known about hosts are kept from
one call of `fetch` to the next. A fetcher belongs to one process: make a new one after a fork.
"""

import time
from collections.abc import Callable, Generator, Iterable
from threading import Lock, Thread
from typing import Any, Self, overload

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.engine.backlog import Backlog, Source
from dataset_assets.fetch.engine.dispatch import FetchStats
from dataset_assets.fetch.engine.loop import Loop, Memory
from dataset_assets.fetch.hosts.resolver import Lookup, system_lookup
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.fetching import FetchOutcome, Request

_JOIN_S = 1.0


class Fetcher:
    """Fetches urls as `FetchOptions` say.

    Args:
        options: What may be done, and for how long.
        seed: Of the jitter in pauses.
        clock: Seconds that never go back.
        lookup: Host and port -> numeric addresses; for tests, and for resolvers other than the system's.
    """

    def __init__(
        self,
        options: FetchOptions,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._memory = Memory(options, seed=seed, clock=clock, lookup=lookup)
        self._loop: Loop | None = None
        self._backlog: Backlog | None = None
        self._thread: Thread | None = None
        self._in_use = Lock()

    @property
    def stats(self) -> FetchStats:
        """What has been done so far, over all calls of `fetch`."""
        return self._memory.stats

    @overload
    def fetch(self, requests: Iterable[Request | None]) -> Generator[FetchOutcome]: ...

    @overload
    def fetch(
        self, requests: Iterable[Request | None], *, heartbeat_s: float
    ) -> Generator[FetchOutcome | None]: ...

    def fetch(
        self, requests: Iterable[Request | None], *, heartbeat_s: float | None = None
    ) -> Generator[Any]:
        """Fetch urls and yield their outcomes in the order in which they end.

        `requests` is pulled on the fetch thread, one at a time, while there is room; None means: nothing to start now, ask again when the consumer has come
        back for more. With `heartbeat_s` None is yielded each time that no outcome came for so long. Closing the generator stops what is running within a
        second.

        Raises:
            ConfigurationError: another `fetch` of this fetcher has not ended.
        """
        if not self._in_use.acquire(blocking=False):
            raise ConfigurationError(
                "this Fetcher is fetching already: finish or close that generator first, or make another Fetcher"
            )
        try:
            yield from self._fetch(Source(requests), heartbeat_s)
        finally:
            self._in_use.release()

    def close(self) -> None:
        """Stop a fetch that is going on, and close all connections. The fetcher can be used again."""
        self._stop()
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _fetch(self, source: Source, heartbeat_s: float | None) -> Generator[FetchOutcome | None]:
        loop = self._loop
        if loop is None or loop.closed:
            loop = self._loop = Loop(self._memory)
        self._backlog = loop.new_backlog()
        self._thread = Thread(
            target=loop.serve, args=(source, self._backlog), name="fetch", daemon=True
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
            self._loop = None  # the caller's iterable blocks; when it returns, the thread closes everything itself
        self._backlog = self._thread = None
