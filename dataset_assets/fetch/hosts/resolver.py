"""Host names become addresses: looked up once, by threads of our own, many at a time.

libcurl's own resolver has 20 threads, so that a few dead names stop all others, and does not say whether a name does not exist or could not be looked up.
Addresses that the guard refuses are dropped here already; libcurl gets the others with the first request and keeps them.
"""

import queue
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dataset_assets.fetch._causes import Failure, failure
from dataset_assets.fetch._target import Origin
from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.records.causes import Cause

#: s that libcurl keeps an address; ours are forgotten a little earlier
LIBCURL_LIFETIME_S = 600
_LIFETIME_S = 540.0
_NEGATIVE_LIFETIME_S = 60.0
_MAX_NAMES = 25_000
_MAX_ADDRESSES = 8
_NOT_FOUND = frozenset(
    code
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if (code := getattr(socket, name, None)) is not None
)

#: (host, port) -> numeric addresses; raises OSError as `socket.getaddrinfo` does
Lookup = Callable[[str, int], Sequence[str]]


def system_lookup(host: str, port: int) -> list[str]:
    """Ask the system's resolver for the addresses of a host, in the order to try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found if entry[0] in (socket.AF_INET, socket.AF_INET6)]


@dataclass(slots=True)
class Name:
    """What is known about a host and port."""

    expires: float  # s, on the clock
    pin: str | None = None  # for libcurl, until it has been given
    failure: Failure | None = None


class Resolver:
    """Names by `Origin.authority`. All methods belong to the fetch thread; only the lookups run elsewhere."""

    def __init__(
        self,
        lookup: Lookup,
        guard: AddressGuard,
        *,
        threads: int,
        timeout_s: float,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self.names: dict[str, Name] = {}
        self.timeout_s = timeout_s
        self._lookup, self._guard, self._max_threads, self._clock, self._wake = (
            lookup,
            guard,
            threads,
            clock,
            wake,
        )
        self._asked: queue.SimpleQueue[Origin | None] = queue.SimpleQueue()
        self._running: dict[str, float] = {}  # authority -> when a thread began with it
        self._answers: deque[tuple[Origin, Sequence[str] | OSError]] = deque()
        self._threads, self._open = 0, 0

    def ask(self, origin: Origin) -> None:
        """Start to look a name up; `answered` will have it."""
        self._open += 1
        if self._threads < min(self._open, self._max_threads):
            self._add_thread()
        self._asked.put(origin)

    def answered(self, now: float) -> list[tuple[str, Name]]:
        """Take in the answers that have come since the last call, and give up on lookups that take too long."""
        found = []
        while self._answers:
            origin, answer = self._answers.popleft()
            self._open -= 1
            self._running.pop(origin.authority, None)
            name = self._name_of(origin, answer, now)
            self._keep(origin.authority, name)
            found.append((origin.authority, name))
        late = [
            authority
            for authority, started in list(self._running.items())
            if now - started > self.timeout_s
        ]
        for authority in late:
            self._running.pop(authority, None)
            found.append((authority, Name(now, failure=failure(Cause.DNS_TEMPORARY))))
        return found

    def close(self) -> None:
        """Let the threads end. One that waits for a dead name server ends when that lookup does."""
        for _ in range(self._threads):
            self._asked.put(None)

    def _add_thread(self) -> None:
        try:
            threading.Thread(target=self._serve, name=f"dns-{self._threads}", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
            self._max_threads = self._threads  # the system allows no more
        else:
            self._threads += 1

    def _serve(self) -> None:
        answer: Sequence[str] | OSError
        while (origin := self._asked.get()) is not None:
            self._running[origin.authority] = self._clock()
            try:
                answer = self._lookup(origin.host, origin.port)
            except OSError as exc:
                answer = exc
            except UnicodeError as exc:  # a label that is empty or too long
                answer = socket.gaierror(socket.EAI_NONAME, str(exc))
            except Exception as exc:  # noqa: BLE001 -- a lookup that was passed in has a bug: the name fails, the thread goes on
                answer = socket.gaierror(socket.EAI_FAIL, str(exc))
            self._answers.append((origin, answer))
            self._wake()

    def _name_of(self, origin: Origin, answer: Sequence[str] | OSError, now: float) -> Name:
        if isinstance(answer, OSError):
            gone = answer.errno in _NOT_FOUND
            return Name(
                now + (_NEGATIVE_LIFETIME_S if gone else 0),
                failure=failure(Cause.DNS_NOT_FOUND if gone else Cause.DNS_TEMPORARY),
            )
        refused = [self._guard.refuses(address, origin.port) for address in answer]
        allowed = [
            address for address, cause in zip(answer, refused, strict=True) if cause is None
        ][:_MAX_ADDRESSES]
        if not allowed:
            return Name(
                now + _NEGATIVE_LIFETIME_S,
                failure=failure(next(filter(None, refused), Cause.DNS_NOT_FOUND)),
            )
        return Name(now + _LIFETIME_S, pin=f"+{origin.authority}:{','.join(allowed)}")

    def _keep(self, authority: str, name: Name) -> None:
        self.names.pop(authority, None)
        self.names[authority] = name
        if len(self.names) > _MAX_NAMES:
            del self.names[next(iter(self.names))]
