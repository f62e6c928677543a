"""Limits per host, and back-off from hosts that are overloaded.

A host is paused when it returns 429 or 503 with Retry-After, or fails three times in a row (503,
refused, no connection). Its URLs wait; other hosts continue. A pause lasts as long as Retry-After
says, or `backoff_s`, doubled with every consecutive pause. After a pause one request is sent; every
success then allows one more concurrent request. A host that fails after `MAX_PAUSES` consecutive
pauses is given up for `GIVEN_UP_S`. During one call of `Fetcher.fetch` the pauses of a host add up
to at most `FetchOptions.max_host_delay_s`; after that a host that stays overloaded is not paused,
but gets one request at a time.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from math import inf
from random import Random
from typing import Any, NamedTuple

from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause

MAX_PAUSES = 5
GIVEN_UP_S = 300.0
_FAILURES_IN_A_ROW = 3
_MAX_HOSTS = 20_000
#: Causes without any response: several in a row pause a host.
_UNREACHED = frozenset({Cause.CONNECTION_REFUSED, Cause.CONNECTION_FAILED, Cause.TIMEOUT_CONNECT})
#: Causes that say nothing about the state of a host.
_NEUTRAL = frozenset(
    {Cause.DNS_NOT_FOUND, Cause.DNS_TEMPORARY, Cause.BLOCKED_ADDRESS, Cause.BLOCKED_PORT}
)


class RequestEnd(NamedTuple):
    """How a request ended."""

    started: float
    """Seconds on the clock."""
    status: int
    """HTTP status; 0 without a response."""
    cause: Cause | None
    """Why it failed; None after a success."""
    retry_after_s: float | None
    """Seconds that the server asks to wait; None when it does not ask."""


@dataclass(slots=True, eq=False)
class Host:
    """A host that has limits or problems. Times are seconds on the clock."""

    limit: float
    """Concurrent requests; inf without a limit."""
    active: int = 0
    next_start: float = 0.0
    paused_until: float = 0.0
    given_up_until: float = 0.0
    failures: int = 0
    """Failures since the last success."""
    pauses: int = 0
    """Pauses since the last success."""
    has_timer: bool = False
    """Whether a timer will release the queue."""
    queue: deque[Any] = field(default_factory=deque)
    """Jobs that wait for this host."""

    def is_busy(self, now: float) -> bool:
        """Tell whether removing this host would change the behavior."""
        return bool(
            self.active
            or self.queue
            or now < max(self.paused_until, self.given_up_until, self.next_start)
        )

    def wait_s(self, now: float) -> float:
        """Return the seconds until a request may start; inf until another one ends."""
        if self.active >= self.limit:
            return inf
        return max(0.0, self.paused_until - now, self.next_start - now)


class Hosts:
    """Hosts by `Origin.site`. A host without limits and problems has no entry and no cost."""

    def __init__(self, options: FetchOptions, random: Random) -> None:
        rate = options.max_requests_per_s_per_host
        self._options = options
        self._random = random
        self._limit: float = options.max_connections_per_host or inf
        self._gap_s = 1 / rate if rate else 0.0
        self._has_limits = self._limit < inf or self._gap_s > 0
        self._delays: dict[str, float] = {}  # seconds of pauses in this call of `fetch`
        self.hosts: dict[str, Host] = {}

    def start_stream(self, now: float) -> None:
        """Reset for a new call of `fetch`; keep only hosts that are paused or given up."""
        self._delays.clear()
        for host in self.hosts.values():
            host.active = 0
            host.has_timer = False
            host.queue.clear()
        self.hosts = {site: host for site, host in self.hosts.items() if host.is_busy(now)}

    def limited_host(self, site: str, now: float) -> Host | None:
        """Return the host whose limits apply to a request, or None when it may start."""
        return self._enter(site, now) if self._has_limits else self.hosts.get(site)

    def record_start(self, host: Host, now: float) -> None:
        """Count a request."""
        host.active += 1
        if self._gap_s:
            host.next_start = max(now, host.next_start) + self._gap_s

    def record_end(self, site: str, host: Host | None, end: RequestEnd, now: float) -> Host | None:
        """Record how a request ended; return the host when jobs may wait for it.

        `host` is the one that has admitted the request, if any.
        """
        if host is not None:
            host.active -= 1
        allowed = _failures_before_pause(end)
        if allowed:
            host = host or self._enter(site, now)
            self._record_failure(site, host, allowed, end, now)
        elif host is not None and end.cause not in _NEUTRAL:
            self._recover(host)
        if host is not None:
            self._forget_if_healthy(site, host, now)
        return host

    def _enter(self, site: str, now: float) -> Host:
        host = self.hosts.get(site)
        if host is None:
            if len(self.hosts) >= _MAX_HOSTS:
                self.hosts = {key: kept for key, kept in self.hosts.items() if kept.is_busy(now)}
            host = self.hosts[site] = Host(self._limit)
        return host

    def _record_failure(
        self, site: str, host: Host, allowed: int, end: RequestEnd, now: float
    ) -> None:
        if end.started < host.paused_until:
            return  # sent before the pause, so it does not show whether the pause has helped
        host.failures += 1
        if host.failures >= allowed:
            self._pause(site, host, end.retry_after_s, now)

    def _pause(self, site: str, host: Host, retry_after_s: float | None, now: float) -> None:
        host.limit = 1
        if host.pauses >= MAX_PAUSES:
            host.given_up_until = now + GIVEN_UP_S
            host.pauses = 0
            host.failures = 0
            return
        spent = self._delays.get(site, 0.0)
        pause_s = min(self._pause_s(host, retry_after_s), self._options.max_host_delay_s - spent)
        self._delays[site] = spent + pause_s
        host.pauses += 1
        host.paused_until = now + pause_s

    def _pause_s(self, host: Host, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return min(retry_after_s, self._options.max_retry_after_s)
        longest_s = min(self._options.max_backoff_s, self._options.backoff_s * 2.0**host.pauses)
        return longest_s * self._random.uniform(0.75, 1.0)

    def _recover(self, host: Host) -> None:
        host.failures = 0
        host.pauses = 0
        is_limited = host.limit < self._options.max_connections
        host.limit = min(host.limit + 1, self._limit) if is_limited else self._limit

    def _forget_if_healthy(self, site: str, host: Host, now: float) -> None:
        if host.limit == self._limit and not host.failures and not host.is_busy(now):
            self.hosts.pop(site, None)


def _failures_before_pause(end: RequestEnd) -> int:
    """Return how many such failures in a row pause a host; 0 when it is not the host's failure."""
    if end.status == 429 or (end.status == 503 and end.retry_after_s is not None):
        return 1
    return _FAILURES_IN_A_ROW if end.status == 503 or end.cause in _UNREACHED else 0


def retry_after_s(value: bytes, wall_clock: Callable[[], float]) -> float | None:
    """Read a Retry-After header, a number of seconds or a date; None when it is neither."""
    text = value.decode("latin-1")
    if text.isdecimal():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall_clock())
    except (ValueError, OverflowError):
        return None
