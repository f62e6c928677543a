"""Limits per host: first contacts, pauses, a pace for hosts that limit requests, and giving up.

A host that never answered gets `FIRST_CONTACTS` requests at a time. The header of its first
response proves it; that and every further header allow more, until there is no limit. It is given
up after two failures in a row if the last is a timeout, or if they span `_GIVE_UP_SPAN` times
`backoff_s`; until then a refusal pauses it.

A host that has answered is paused after 429, 503 with Retry-After, or three failures in a row (503,
refused, no connection, no first byte). A pause lasts as long as Retry-After says, or `backoff_s`,
doubled with every consecutive pause. After a pause one request is sent. A host that fails after
`MAX_PAUSES` consecutive pauses is given up, and one that has only ever said 429 after
`MAX_FIRST_PAUSES`. One that says 429 between good responses also gets a pace: a gap between
requests that doubles with every 429 and shrinks with every good response. During one call of
`Fetcher.fetch` pauses and gaps of a host add up to at most `FetchOptions.max_host_delay_s`; after
that a host that stays overloaded is not paused, but gets one request at a time.

A host is given up for `GIVEN_UP_S`: its URLs fail at once. Then one URL is the probe.
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

FIRST_CONTACTS = 2
MAX_PAUSES = 4
MAX_FIRST_PAUSES = 3
GIVEN_UP_S = 30.0
MIN_GAP_S = 0.05
MAX_GAP_S = 2.0
_GAP_DECAY = 0.99
#: Failures of a host that never answered must span so many `backoff_s`: a short outage is not the
#: end of it.
_GIVE_UP_SPAN = 5
_FAILURES_IN_A_ROW = 3
#: More concurrent requests per header of a response, for a host that never failed.
_FIRST_GROWTH = 3
_MAX_HOSTS = 20_000
_MAX_GOOD = 100_000
#: Distinct hosts in a row without any response that look like an outage of the own network.
_OUTAGE_HOSTS = 24
_TIMEOUTS = frozenset({Cause.TIMEOUT_CONNECT, Cause.TIMEOUT_FIRST_BYTE, Cause.TIMEOUT_TOTAL})
#: Causes without any response, if there is no status.
_UNANSWERED = _TIMEOUTS | {Cause.CONNECTION_REFUSED, Cause.CONNECTION_FAILED}
#: Causes that say nothing about the state of a host.
_NEUTRAL = frozenset(
    {
        Cause.DNS_NOT_FOUND,
        Cause.DNS_TEMPORARY,
        Cause.PROXY_ERROR,
        Cause.BLOCKED_ADDRESS,
        Cause.BLOCKED_PORT,
    }
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
    is_retry: bool = False
    """Whether the same URL has failed before."""

    @property
    def is_unanswered(self) -> bool:
        """Whether the host did not respond at all."""
        return not self.status and self.cause in _UNANSWERED

    @property
    def is_overload(self) -> bool:
        """Whether the host says that it gets too many requests."""
        return self.status == 429 or (self.status == 503 and self.retry_after_s is not None)


@dataclass(slots=True, eq=False)
class Host:
    """A host that has limits or problems, or is new. Times are seconds on the clock."""

    limit: float
    """Concurrent requests; inf without a limit."""
    has_answered: bool = False
    """Whether the header of a response has come."""
    is_good: bool = False
    """Whether a response was not a refusal of the host."""
    is_troubled: bool = False
    """Whether it has failed since it was last without an entry."""
    active: int = 0
    next_start: float = 0.0
    gap_s: float = 0.0
    """Pace: seconds between two requests; 0 without a pace."""
    paused_until: float = 0.0
    given_up_until: float = 0.0
    failures: int = 0
    """Failures since the last success."""
    failing_since: float = 0.0
    """When the first of these was sent."""
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
            or self.given_up_until
            or now < max(self.paused_until, self.given_up_until, self.next_start)
        )

    def wait_s(self, now: float) -> float:
        """Return the seconds until a request may start; inf until another one ends."""
        if self.active >= self.limit:
            return inf
        return max(0.0, self.paused_until - now, self.next_start - now)


class Hosts:
    """Hosts by `Origin.site`. A good host without limits has no entry and no cost."""

    def __init__(self, options: FetchOptions, random: Random) -> None:
        rate = options.max_requests_per_s_per_host
        self._options = options
        self._random = random
        self._limit: float = options.max_connections_per_host or inf
        self._gap_s = 1 / rate if rate else 0.0
        self._has_limits = self._limit < inf or self._gap_s > 0
        self._delays: dict[str, float] = {}  # seconds of pauses in this call of `fetch`
        self._good: dict[str, None] = {}  # sites without an entry that have answered well
        self.hosts: dict[str, Host] = {}
        self.outage = Outage(options)

    def start_stream(self, now: float) -> None:
        """Reset for a new call of `fetch`; keep only hosts that are paused or given up."""
        self._delays.clear()
        self.outage.end()
        for host in self.hosts.values():
            host.active = 0
            host.has_timer = False
            host.queue.clear()
        self._prune(now)

    def is_new(self, site: str) -> bool:
        """Tell whether nothing is known about a host."""
        return site not in self.hosts and site not in self._good

    def limited_host(self, site: str, now: float) -> Host | None:
        """Return the host whose limits apply to a request, or None when it may start."""
        host = self.hosts.get(site)
        if host is None and (self._has_limits or site not in self._good):
            return self._enter(site, now)
        return host

    def may_expire(self, host: Host, now: float) -> bool:
        """Tell whether it is the host, and not the user's own limit, that makes jobs wait."""
        return not self._has_limits or host.gap_s > self._gap_s or now < host.paused_until

    def record_start(self, site: str, host: Host, now: float) -> None:
        """Count a request."""
        host.active += 1
        gap_s = self._gap_s
        if host.gap_s > gap_s:
            spent_s = self._delays.get(site, 0.0)
            gap_s = max(gap_s, min(host.gap_s, self._options.max_host_delay_s - spent_s))
            self._delays[site] = spent_s + gap_s - self._gap_s
        if gap_s:
            host.next_start = max(now, host.next_start) + gap_s

    def record_answer(self, host: Host, status: int) -> None:
        """Record the header of a response. A host that never failed gets more requests for it."""
        host.has_answered = True
        if not host.is_troubled and status < 500 and status != 429:
            self._raise_limit(host, _FIRST_GROWTH)

    def record_end(self, site: str, host: Host | None, end: RequestEnd, now: float) -> Host | None:
        """Record how a request ended; return the host when jobs may wait for it.

        `host` is the one that has admitted the request, if any.
        """
        if host is not None:
            host.active -= 1
        if end.is_unanswered or end.cause is Cause.PROXY_ERROR:
            self.outage.record_failure(site, now)
        elif end.cause not in _NEUTRAL and self.outage.sites:
            self._end_outage(now)
        if end.is_unanswered or end.is_overload or end.status == 503:
            host = host or self._enter(site, now)
            host.has_answered |= end.status > 0
            self._record_failure(site, host, end, now)
        elif host is not None and end.cause not in _NEUTRAL:
            self._recover(host)
        if host is not None:
            self._forget_if_healthy(site, host, now)
        return host

    def _enter(self, site: str, now: float) -> Host:
        host = self.hosts.get(site)
        if host is None:
            if len(self.hosts) >= _MAX_HOSTS:
                self._prune(now)
            is_good = site in self._good
            limit = self._limit if is_good else min(FIRST_CONTACTS, self._limit)
            host = self.hosts[site] = Host(limit, has_answered=is_good, is_good=is_good)
        return host

    def _prune(self, now: float) -> None:
        """Forget hosts that are neither paused nor in use; the oldest paused ones if need be."""
        for site, host in list(self.hosts.items()):
            if not host.is_busy(now):
                self._forget(site, host)
        too_many = len(self.hosts) - _MAX_HOSTS * 9 // 10  # with room for the next ones
        if too_many > 0:
            unused = [
                site for site, host in self.hosts.items() if not host.active and not host.queue
            ]
            for site in unused[:too_many]:
                del self.hosts[site]

    def _forget(self, site: str, host: Host) -> None:
        del self.hosts[site]
        if host.is_good and not host.failures:
            self._good[site] = None
            if len(self._good) > _MAX_GOOD:
                del self._good[next(iter(self._good))]

    def _end_outage(self, now: float) -> None:
        began = self.outage.end()
        if began is None:
            return
        for host in self.hosts.values():
            if host.given_up_until >= began + GIVEN_UP_S:  # the network was at fault
                host.given_up_until = now
                host.failures = 0
                host.pauses = 0

    def _record_failure(self, site: str, host: Host, end: RequestEnd, now: float) -> None:
        if end.is_retry and end.is_unanswered and not host.has_answered:
            return  # a host is given up for what several URLs have seen
        is_late = end.started < host.paused_until  # sent before the pause: does not show its effect
        host.is_troubled = True
        if not host.failures:
            host.failing_since = end.started
        if end.is_unanswered and not host.has_answered:
            host.failures += 1
            self._record_silence(site, host, end, now, is_late=is_late)
        elif not is_late:
            host.failures += 1
            if end.is_overload or host.failures >= _FAILURES_IN_A_ROW:
                self._pause(site, host, end, now)

    def _record_silence(
        self, site: str, host: Host, end: RequestEnd, now: float, *, is_late: bool
    ) -> None:
        is_timeout = end.cause in _TIMEOUTS
        host.limit = 1  # what is on its way may decide already
        span_s = _GIVE_UP_SPAN * self._options.backoff_s
        if host.failures > 1 and (is_timeout or now - host.failing_since >= span_s):
            self._give_up(host, now)
        elif not is_timeout and not is_late:
            self._pause(site, host, end, now)

    def _give_up(self, host: Host, now: float) -> None:
        host.limit = 1
        host.given_up_until = now + GIVEN_UP_S

    def _pause(self, site: str, host: Host, end: RequestEnd, now: float) -> None:
        host.limit = 1
        if host.has_answered and host.pauses >= (MAX_PAUSES if host.is_good else MAX_FIRST_PAUSES):
            self._give_up(host, now)
            return
        spent_s = self._delays.get(site, 0.0)
        left_s = max(0.0, self._options.max_host_delay_s - spent_s)
        if end.is_overload and host.is_good and left_s:
            host.gap_s = min(MAX_GAP_S, max(MIN_GAP_S, 2 * host.gap_s))
        pause_s = min(self._pause_s(host, end.retry_after_s), left_s)
        self._delays[site] = spent_s + pause_s
        host.pauses += 1
        host.paused_until = now + pause_s

    def _pause_s(self, host: Host, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return min(retry_after_s, self._options.max_retry_after_s)
        longest_s = min(self._options.max_backoff_s, self._options.backoff_s * 2.0**host.pauses)
        return longest_s * self._random.uniform(0.75, 1.0)

    def _recover(self, host: Host) -> None:
        host.has_answered = True
        host.is_good = True
        host.failures = 0
        host.pauses = 0
        host.given_up_until = 0.0
        host.gap_s *= _GAP_DECAY
        if host.gap_s < MIN_GAP_S / 2:
            host.gap_s = 0.0
        if host.is_troubled:
            self._raise_limit(host, 1)

    def _raise_limit(self, host: Host, growth: int) -> None:
        is_limited = host.limit < self._options.max_connections
        host.limit = min(host.limit + growth, self._limit) if is_limited else self._limit

    def _forget_if_healthy(self, site: str, host: Host, now: float) -> None:
        has_full_speed = host.limit == self._limit or not host.is_troubled
        is_healthy = has_full_speed and host.is_good and not host.failures and not host.gap_s
        if is_healthy and not host.is_busy(now) and site in self.hosts:
            self._forget(site, host)


class Outage:
    """Notices when nothing answers any more, so that rows are not spent on an absent network."""

    def __init__(self, options: FetchOptions) -> None:
        self.sites: set[str] = set()
        """Hosts that failed since the last response of any host."""
        self._first_pause_s = options.backoff_s
        self._max_pause_s = options.max_backoff_s
        self._since = 0.0
        self._pause_s = 0.0
        self._pull_at = 0.0
        self._left_s = 0.0

    def record_failure(self, site: str, now: float) -> None:
        """Record that a host did not respond."""
        if not self.sites:
            self._since = now
            self._pull_at = 0.0
            self._pause_s = self._first_pause_s
            self._left_s = 5 * self._max_pause_s
        if len(self.sites) < _OUTAGE_HOSTS:
            self.sites.add(site)

    @property
    def is_on(self) -> bool:
        """Whether rows are held back."""
        return len(self.sites) >= _OUTAGE_HOSTS and self._pull_at > 0

    def end(self) -> float | None:
        """Record a response; return since when there was an outage, or None."""
        began = self._since if self.is_on else None
        self.sites.clear()
        return began

    def holds(self, now: float) -> bool:
        """Tell whether no new row may be started now. Lets one pass after each pause."""
        span_s = _GIVE_UP_SPAN * self._first_pause_s
        if len(self.sites) < _OUTAGE_HOSTS or now - self._since < span_s or self._left_s <= 0:
            return False
        if now < self._pull_at:
            return True
        self._left_s -= self._pause_s
        self._pull_at = now + self._pause_s
        self._pause_s = min(self._max_pause_s, 2 * self._pause_s)
        return False

    def next_due_s(self, now: float) -> float:
        """Return the seconds until `holds` changes by itself."""
        return self._pull_at - now if self.sites and self._pull_at > now else inf


def retry_after_s(value: bytes, wall_clock: Callable[[], float]) -> float | None:
    """Read a Retry-After header, a number of seconds or a date; None when it is neither."""
    text = value.decode("latin-1")
    if text.isdecimal():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall_clock())
    except (ValueError, OverflowError):
        return None
