"""Looks up host names: many concurrently, on its own threads, each once.

A lookup that fails for now is repeated once, within the time for a name; then the failure is
remembered for a minute.

libcurl's resolver has 20 threads, so a few dead names block all others, and it does not tell a name
that does not exist from one that could not be looked up. Addresses that the guard refuses are
dropped here; libcurl gets the others with the first request, and keeps them until it is told to
drop them: with a lifetime of its own it would look at all its names for every request.
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

_LIFETIME_S = 540.0
_NEGATIVE_LIFETIME_S = 60.0
_MAX_NAMES = 25_000
_MAX_ADDRESSES = 8
_NOT_FOUND = frozenset(
    code
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if (code := getattr(socket, name, None)) is not None
)

_UNKNOWN = failure(Cause.DNS_TEMPORARY)

#: (host, port) -> numeric addresses. Raises OSError as `socket.getaddrinfo` does.
Lookup = Callable[[str, int], Sequence[str]]


def system_lookup(host: str, port: int) -> list[str]:
    """Look up a host with the system's resolver; addresses are in the order to try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found if entry[0] in (socket.AF_INET, socket.AF_INET6)]


@dataclass(slots=True)
class Resolution:
    """The result of looking up a host and port."""

    expires: float
    """Seconds on the clock."""
    pin: str | None = None
    """Addresses in libcurl's notation, until libcurl has them."""
    failure: Failure | None = None
    """Why there are no addresses."""


class Resolver:
    """Resolutions by `Origin.authority`. For the fetch thread; only lookups run elsewhere."""

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
        self.names: dict[str, Resolution] = {}
        self.timeout_s = timeout_s
        self._lookup = lookup
        self._guard = guard
        self._max_threads = threads
        self._clock = clock
        self._wake = wake
        self._asked: queue.SimpleQueue[Origin | None] = queue.SimpleQueue()
        self._running: dict[str, float] = {}  # authority -> when its first lookup began
        self._again: set[str] = set()  # whose second lookup has not ended
        self._dropped: list[str] = []  # authorities that libcurl still has addresses of
        self._answers: deque[tuple[Origin, Sequence[str] | OSError]] = deque()
        self._threads = 0
        self._open = 0

    def forget_failures(self) -> None:
        """Look up again what could not be looked up: the network was at fault."""
        for authority, name in list(self.names.items()):
            if name.failure is not None and name.failure.cause is Cause.DNS_TEMPORARY:
                del self.names[authority]

    def ask(self, origin: Origin) -> None:
        """Start to look up a host. `collect` returns the result."""
        self._open += 1
        if self._threads < min(self._open, self._max_threads):
            self._add_thread()
        self._asked.put(origin)

    def collect(self, now: float) -> list[tuple[str, Resolution]]:
        """Return (authority, resolution) of lookups that have ended or taken too long."""
        found = []
        while self._answers:
            origin, answer = self._answers.popleft()
            self._open -= 1
            authority = origin.authority
            is_waited_for = authority in self._running
            if is_waited_for and self._may_pass(answer) and authority not in self._again:
                self._again.add(authority)
                self.ask(origin)
                continue
            self._running.pop(authority, None)
            self._again.discard(authority)
            resolution = self._resolve(origin, answer, now)
            self._cache(authority, resolution)
            found.append((authority, resolution))
        late = [
            authority
            for authority, started in list(self._running.items())
            if now - started > self.timeout_s
        ]
        for authority in late:
            del self._running[authority]
            resolution = Resolution(now + _NEGATIVE_LIFETIME_S, failure=_UNKNOWN)
            self._cache(authority, resolution)
            found.append((authority, resolution))
        return found

    def take_pins(self, authority: str) -> list[str]:
        """Return what libcurl has to be told before a request to a host: addresses, only once."""
        name = self.names.get(authority)
        if name is None or name.pin is None:
            return []
        pins = [*(f"-{dropped}" for dropped in self._dropped), name.pin]
        name.pin = None
        self._dropped.clear()
        return pins

    def close(self) -> None:
        """End the threads. One that waits for a dead name server ends when that lookup does."""
        for _ in range(self._threads):
            self._asked.put(None)

    def _add_thread(self) -> None:
        try:
            threading.Thread(target=self._serve, name=f"dns-{self._threads}", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
            self._max_threads = self._threads  # the system's limit
        else:
            self._threads += 1

    def _serve(self) -> None:
        answer: Sequence[str] | OSError
        while (origin := self._asked.get()) is not None:
            if origin.authority not in self._again:
                self._running[origin.authority] = self._clock()
            try:
                answer = self._lookup(origin.host, origin.port)
            except OSError as exc:
                answer = exc
            except UnicodeError as exc:  # a label that is empty or too long
                answer = socket.gaierror(socket.EAI_NONAME, str(exc))
            except Exception as exc:  # noqa: BLE001 -- a bug in a custom lookup fails the name only
                answer = socket.gaierror(socket.EAI_FAIL, str(exc))
            self._answers.append((origin, answer))
            self._wake()

    @staticmethod
    def _may_pass(answer: Sequence[str] | OSError) -> bool:
        return isinstance(answer, OSError) and answer.errno not in _NOT_FOUND

    def _resolve(self, origin: Origin, answer: Sequence[str] | OSError, now: float) -> Resolution:
        if isinstance(answer, OSError):
            reason = _UNKNOWN if self._may_pass(answer) else failure(Cause.DNS_NOT_FOUND)
            return Resolution(now + _NEGATIVE_LIFETIME_S, failure=reason)
        refused = [self._guard.refuses(address, origin.port) for address in answer]
        allowed = [
            address for address, cause in zip(answer, refused, strict=True) if cause is None
        ][:_MAX_ADDRESSES]
        if not allowed:
            cause = next(filter(None, refused), Cause.DNS_NOT_FOUND)
            return Resolution(now + _NEGATIVE_LIFETIME_S, failure=failure(cause))
        return Resolution(now + _LIFETIME_S, pin=f"+{origin.authority}:{','.join(allowed)}")

    def _cache(self, authority: str, resolution: Resolution) -> None:
        self.names.pop(authority, None)  # the newest is the last
        self.names[authority] = resolution
        if len(self.names) > _MAX_NAMES:
            oldest = next(iter(self.names))
            del self.names[oldest]
            self._dropped.append(oldest)
