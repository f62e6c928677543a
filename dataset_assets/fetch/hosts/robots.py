"""robots.txt (RFC 9309) by origin: one fetch a day, kept in memory.

What to do with the file is decided here; fetching it is the dispatcher's work, like any other request. An origin without one allows everything, one that
fails to answer allows nothing for now, one that can not be reached has its urls fail for that reason.
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
#: RFC 9309 asks for at least 500 KiB
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
        Cause.TIMEOUT_CONNECT,
        Cause.TLS_ERROR,
    }
)
_ALLOWED_STATUSES = range(400, 500)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an origin lets this robot fetch: by its file, or nothing for one reason, or everything."""

    expires: float  # s, on the clock
    file: Protego | None = None
    failure: Failure | None = None


class RobotsCache:
    """Rules by `Origin.root`, the least recently used forgotten first."""

    def __init__(self, robot_name: str, clock: Callable[[], float]) -> None:
        self._name, self._clock = robot_name, clock
        self._rules: OrderedDict[str, Rules] = OrderedDict()

    def knows(self, root: str) -> bool:
        """Tell whether the rules of an origin are here and fresh."""
        rules = self._rules.get(root)
        if rules is None or rules.expires <= self._clock():
            return False
        self._rules.move_to_end(root)
        return True

    def refuses(self, target: Target) -> Failure | None:
        """Tell why a url of a known origin must not be fetched, or None."""
        rules = self._rules[target.origin.root]
        if rules.failure is not None:
            return rules.failure
        if rules.file is None or rules.file.can_fetch(_as_sent(target.url), self._name):
            return None
        return failure(Cause.ROBOTS_TXT)

    def loaded(self, root: str, body: bytes) -> None:
        """Keep the rules of a file."""
        self._keep(
            root,
            Rules(self._clock() + LIFETIME_S, file=Protego.parse(body.decode("utf-8", "replace"))),
        )

    def failed(self, root: str, status: int, reason: Failure) -> None:
        """Keep what it means that there is no file."""
        if status in _ALLOWED_STATUSES and status != 429:
            self._keep(root, Rules(self._clock() + LIFETIME_S))
        elif reason.cause in _UNREACHABLE:
            self._keep(
                root,
                Rules(
                    self._clock() + FAILED_LIFETIME_S,
                    failure=Failure(reason.cause, f"robots.txt: {reason.message}"),
                ),
            )
        else:
            known = Failure(
                Cause.ROBOTS_TXT,
                f"robots.txt could not be read, so nothing is allowed for now: {reason.message}",
            )
            self._keep(root, Rules(self._clock() + FAILED_LIFETIME_S, failure=known))

    def _keep(self, root: str, rules: Rules) -> None:
        self._rules[root] = rules
        if len(self._rules) > _MAX_ORIGINS:
            self._rules.popitem(last=False)


def _as_sent(url: str) -> str:
    """Return path and query as libcurl will send them: without dot segments."""
    parsed = pycurl.CurlUrl(url)
    return f"{parsed.path}?{parsed.query}" if parsed.query is not None else str(parsed.path)
