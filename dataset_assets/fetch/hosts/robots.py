"""robots.txt (RFC 9309) by origin: fetched once a day, cached in memory.

This module interprets the file; the dispatcher fetches it like any other URL. An origin without one
allows everything. An origin that fails to return it allows nothing for now. The URLs of an origin
that cannot be reached fail for that reason.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import pycurl
from protego import Protego

from dataset_assets.fetch._causes import Failure, failure
from dataset_assets.fetch._target import Target
from dataset_assets.records.causes import Cause

LIFETIME_S = 24 * 3600.0
FAILED_LIFETIME_S = 300.0
#: RFC 9309 requires at least 500 KiB.
MAX_BYTES = 512 * 1024
_MAX_ORIGINS = 10_000
_UNREACHABLE = frozenset(
    {
        Cause.BLOCKED_ADDRESS,
        Cause.BLOCKED_PORT,
        Cause.CONNECTION_FAILED,
        Cause.CONNECTION_REFUSED,
        Cause.DNS_NOT_FOUND,
        Cause.DNS_TEMPORARY,
        Cause.HOST_UNAVAILABLE,
        Cause.INVALID_URL,
        Cause.PROXY_ERROR,
        Cause.TIMEOUT_CONNECT,
        Cause.TLS_ERROR,
    }
)
_ALLOWED_STATUSES = range(400, 500)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an origin allows this robot to fetch: everything, unless a field says otherwise."""

    expires: float
    """Seconds on the clock."""
    file: Protego | None = None
    """The parsed robots.txt."""
    failure: Failure | None = None
    """Why nothing is allowed."""


class RobotsCache:
    """Rules by `Origin.root`. The least recently used are evicted first."""

    def __init__(self, robot_name: str, clock: Callable[[], float]) -> None:
        self._name = robot_name
        self._clock = clock
        self._rules: OrderedDict[str, Rules] = OrderedDict()

    def knows(self, root: str) -> bool:
        """Tell whether the rules of an origin are cached and fresh."""
        rules = self._rules.get(root)
        if rules is None or rules.expires <= self._clock():
            return False
        self._rules.move_to_end(root)
        return True

    def refuses(self, target: Target) -> Failure | None:
        """Tell why a URL of a known origin must not be fetched, or None."""
        rules = self._rules[target.origin.root]
        if rules.failure is not None:
            return rules.failure
        if rules.file is None or rules.file.can_fetch(_as_sent(target.url), self._name):
            return None
        return failure(Cause.ROBOTS_TXT)

    def store(self, root: str, body: bytes) -> None:
        """Cache the rules of a robots.txt."""
        file = Protego.parse(body.decode("utf-8", "replace"))
        self._cache(root, Rules(self._clock() + LIFETIME_S, file=file))

    def store_failure(self, root: str, status: int, reason: Failure) -> None:
        """Cache what it means that there is no robots.txt."""
        if reason.cause is not Cause.PROXY_ERROR and status in _ALLOWED_STATUSES and status != 429:
            self._cache(root, Rules(self._clock() + LIFETIME_S))
            return
        if reason.cause in _UNREACHABLE:
            refusal = Failure(reason.cause, f"robots.txt: {reason.message}")
        else:
            refusal = Failure(
                Cause.ROBOTS_TXT,
                f"robots.txt could not be read, so nothing is allowed for now: {reason.message}",
            )
        self._cache(root, Rules(self._clock() + FAILED_LIFETIME_S, failure=refusal))

    def _cache(self, root: str, rules: Rules) -> None:
        self._rules[root] = rules
        if len(self._rules) > _MAX_ORIGINS:
            self._rules.popitem(last=False)


def _as_sent(url: str) -> str:
    """Return path and query as libcurl sends them: without dot segments."""
    parsed = pycurl.CurlUrl(url)
    return f"{parsed.path}?{parsed.query}" if parsed.query is not None else str(parsed.path)
