"""How politely each host is treated: limits that the options set, and backing off from a host that says it is overloaded.

A host that answers 429, or 503 with Retry-After, or that fails three times in a row (503, refused, no connection), is paused: its urls wait, all others go
on. A pause lasts as long as Retry-After says, else `backoff_s`, doubled with every further pause in a row. After a pause one request tries; every good answer
then allows one more at a time. A host that fails after `MAX_PAUSES` pauses in a row is given up for `GIVEN_UP_S`. The pauses of one host add up to
`FetchOptions.max_host_delay_s` at most during one call of `Fetcher.fetch`; a host that answers again and again and still overloads is then not paused any
more, only asked one url at a time.
"""

from collections import deque
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any, NamedTuple

from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause

MAX_PAUSES = 5
GIVEN_UP_S = 300.0
_STRIKES = 3
_MAX_HOSTS = 20_000
#: no answer at all: after several, the host is not asked at full speed
_UNREACHED = frozenset({Cause.CONNECTION_REFUSED, Cause.CONNECTION_FAILED, Cause.TIMEOUT_CONNECT})
#: says nothing about how the host is
_NEUTRAL = frozenset(
    {Cause.DNS_NOT_FOUND, Cause.DNS_TEMPORARY, Cause.BLOCKED_ADDRESS, Cause.BLOCKED_PORT}
)


class End(NamedTuple):
    """How a request ended."""

    started: float  # s, on the clock
    status: int  # 0: no answer
    cause: Cause | None
    retry_after_s: float | None


@dataclass(slots=True, eq=False)
class Host:
    """A host that has limits, or trouble."""

    limit: float  # requests at a time; inf: no limit
    active: int = 0
    next_start: float = 0.0  # s, on the clock
    paused_until: float = 0.0
    given_up_until: float = 0.0
    strikes: int = 0  # failures since the last good answer
    pauses: int = 0  # since the last good answer
    armed: bool = False  # somebody will call `Hosts.released` when it may go on
    queue: deque[Any] = field(default_factory=deque)

    def is_busy(self, now: float) -> bool:
        """Tell whether forgetting this host would change what happens next."""
        return bool(
            self.active
            or self.queue
            or now < max(self.paused_until, self.given_up_until, self.next_start)
        )

    def wait_s(self, now: float) -> float:
        """Seconds until the next request may start; 0: now; inf: when another one ends."""
        if self.active >= self.limit:
            return inf
        return max(0.0, self.paused_until - now, self.next_start - now)


class Hosts:
    """Hosts by `Origin.site`. One without limits and without trouble has no entry and costs nothing."""

    def __init__(self, options: FetchOptions, random: Random) -> None:
        self._options, self._random = options, random
        self._limit: float = options.max_connections_per_host or inf
        self._gap_s = (
            1 / options.max_requests_per_s_per_host if options.max_requests_per_s_per_host else 0.0
        )
        self._limited = self._limit < inf or self._gap_s > 0
        self._delays: dict[str, float] = {}  # s of pauses in this call of `fetch`
        self.hosts: dict[str, Host] = {}

    def new_stream(self, now: float) -> None:
        """Begin anew: nothing is active or waits, no time was lost; only hosts that are paused or given up are remembered."""
        self._delays.clear()
        for host in self.hosts.values():
            host.active, host.armed = 0, False
            host.queue.clear()
        self.hosts = {site: host for site, host in self.hosts.items() if host.is_busy(now)}

    def entered(self, site: str, now: float) -> Host | None:
        """Return the host that a request to this site has to ask, or None when it may just start."""
        return self._enter(site, now) if self._limited else self.hosts.get(site)

    def started(self, host: Host, now: float) -> None:
        """Count a request."""
        host.active += 1
        if self._gap_s:
            host.next_start = max(now, host.next_start) + self._gap_s

    def ended(self, site: str, host: Host | None, end: End, now: float) -> Host | None:
        """Learn from how a request ended; return the host when others may wait for it. `host` is what the request was counted with."""
        if host is not None:
            host.active -= 1
        patience = _patience(end)
        if patience:
            host = host or self._enter(site, now)
            self._strike(site, host, patience, end, now)
        elif host is not None and end.cause not in _NEUTRAL:
            self._recover(host)
        if host is not None:
            self._forget_if_well(site, host, now)
        return host

    def _enter(self, site: str, now: float) -> Host:
        host = self.hosts.get(site)
        if host is None:
            if len(self.hosts) >= _MAX_HOSTS:
                self.hosts = {key: kept for key, kept in self.hosts.items() if kept.is_busy(now)}
            host = self.hosts[site] = Host(self._limit)
        return host

    def _strike(self, site: str, host: Host, patience: int, end: End, now: float) -> None:
        if end.started < host.paused_until:
            return  # sent before the pause, so it says nothing about what the pause was good for
        host.strikes += 1
        if host.strikes >= patience:
            self._pause(site, host, end.retry_after_s, now)

    def _pause(self, site: str, host: Host, retry_after_s: float | None, now: float) -> None:
        host.limit = 1
        if host.pauses >= MAX_PAUSES:
            host.given_up_until, host.pauses, host.strikes = now + GIVEN_UP_S, 0, 0
            return
        spent = self._delays.get(site, 0.0)
        pause_s = min(self._pause_s(host, retry_after_s), self._options.max_host_delay_s - spent)
        self._delays[site] = spent + pause_s
        host.pauses += 1
        host.paused_until = now + pause_s

    def _pause_s(self, host: Host, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return min(retry_after_s, self._options.max_retry_after_s)
        return min(
            self._options.max_backoff_s, self._options.backoff_s * 2.0**host.pauses
        ) * self._random.uniform(0.75, 1.0)

    def _recover(self, host: Host) -> None:
        host.strikes = host.pauses = 0
        host.limit = (
            min(host.limit + 1, self._limit)
            if host.limit < self._options.max_connections
            else self._limit
        )

    def _forget_if_well(self, site: str, host: Host, now: float) -> None:
        if host.limit == self._limit and not host.strikes and not host.is_busy(now):
            self.hosts.pop(site, None)


def _patience(end: End) -> int:
    """Return how many failures like this in a row pause a host; 0: it is no failure of the host."""
    if end.status == 429 or (end.status == 503 and end.retry_after_s is not None):
        return 1
    return _STRIKES if end.status == 503 or end.cause in _UNREACHED else 0
