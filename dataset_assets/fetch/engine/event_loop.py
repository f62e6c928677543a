"""The event loop: many concurrent transfers on one thread, with libcurl's multi interface.

It handles sockets, timers and time limits. The dispatcher decides which request starts when and
what a response means. Time during which this thread could not run (a suspended machine, a consumer
that holds the interpreter) does not count against any transfer. A new host that takes long to
answer moves to one of a number of extra sockets: dead hosts do not take the place of others.
Interface: https://curl.se/libcurl/c/curl_multi_socket_action.html
"""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import NamedTuple

import pycurl

from dataset_assets.fetch.engine.poller import new_poller
from dataset_assets.fetch.engine.transfer import Transfer, TransferFactory
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause

if sys.platform != "win32":
    import resource

_LAG_S = 0.5
MAX_LOOKUPS = 128
#: More sockets, for new hosts that take long to answer.
MAX_EXTRA = 256
_SPARE = 16  # files that the rest of the program may open meanwhile
#: A host that has not answered for so long does not occupy one of the connections any more.
_STALLED_S = 1.5


class EventLoop:
    """Runs transfers. All methods but `wake` belong to one thread."""

    def __init__(
        self,
        options: FetchOptions,
        factory: TransferFactory,
        *,
        connections: int,
        extra: int,
        clock: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._extra = extra
        self._stalled = 0
        self.answered = factory.answered
        self.running: dict[Transfer, None] = {}  # in order of start
        self._options = options
        self._factory = factory
        self._clock = clock
        self._free: list[Transfer] = []
        self._owner: dict[pycurl.Curl, Transfer] = {}
        self._timer_at = inf
        shortest = min(options.timeout_s, options.low_speed_time_s, options.attempt_timeout_s)
        self._tick_s = min(0.5, max(0.01, shortest / 10))
        self._sweep_at = self._alive_at = clock()
        self._poller = new_poller()
        self._waker, self._woken = socket.socketpair()
        self._is_woken = False
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._poller.watch(pycurl.POLL_IN, self._woken.fileno())
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, connections + extra)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._poller.watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    @property
    def has_free(self) -> bool:
        """Whether another transfer may begin."""
        return len(self.running) < self._connections + self._stalled

    def take(self) -> Transfer:
        """Return a transfer to begin. Call it only while `has_free`."""
        if self._free:
            return self._free.pop()
        transfer = self._factory.new()
        self._owner[transfer.easy] = transfer
        return transfer

    def give(self, transfer: Transfer) -> None:
        """Return a transfer that has ended."""
        self._free.append(transfer)

    def start(self, transfer: Transfer, *, at_once: bool = False) -> None:
        """Run a transfer that has begun.

        `at_once` lets libcurl process it before any other, for the addresses that it carries.
        """
        if not self.running:
            self._alive_at = max(self._alive_at, transfer.started)  # idle time is no lag
        self.running[transfer] = None
        self._multi.add_handle(transfer.easy)
        if at_once:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def wake(self) -> None:
        """Make a waiting `step` return. For other threads."""
        if self._is_woken:
            return  # already, since `step` last returned
        self._is_woken = True
        with suppress(OSError):  # closed: no `step` is waiting
            self._waker.send(b"\0")

    def step(self, wait_s: float) -> list[Transfer]:
        """Wait for events, at most `wait_s` seconds; return the transfers that have ended."""
        before = self._clock()
        sweep_s = self._sweep_at - before if self.running else inf
        wait_s = max(0.0, min(wait_s, self._timer_at - before, sweep_s))
        action = self._multi.socket_action
        woken = self._woken.fileno()
        for descriptor, ready in self._poller.poll(min(wait_s, 60.0)):
            if descriptor == woken:
                self._drain()
            else:
                action(descriptor, ready)
        now = self._clock()
        if now >= self._timer_at:
            self._timer_at = inf
            action(pycurl.SOCKET_TIMEOUT, 0)
        self._extend_limits(now - self._alive_at - wait_s)
        self._alive_at = now
        ended = self._remove(self._ended())
        if now >= self._sweep_at:
            self._sweep_at = now + self._tick_s
            ended += self._remove(self._overdue(now))
        return ended

    def close(self) -> None:
        """Stop all transfers and close every socket."""
        for transfer in self.running:
            self._multi.remove_handle(transfer.easy)
        self.running.clear()
        self._multi.close()
        for easy in self._owner:
            easy.close()
        self._owner.clear()
        self._free.clear()
        self._poller.close()
        self._waker.close()
        self._woken.close()

    def _on_timer(self, timeout_ms: int) -> None:
        self._timer_at = inf if timeout_ms < 0 else self._clock() + timeout_ms / 1000

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        self._is_woken = False

    def _remove(self, transfers: list[Transfer]) -> list[Transfer]:
        for transfer in transfers:
            self._multi.remove_handle(transfer.easy)
            del self.running[transfer]
        return transfers

    def _ended(self) -> list[Transfer]:
        ended: list[Transfer] = []
        left = 1
        while left:
            left, succeeded, failed = self._multi.info_read()
            ended += [self._owner[easy] for easy in succeeded]
            for easy, code, text in failed:
                transfer = self._owner[easy]
                transfer.code = code
                transfer.error = text
                ended.append(transfer)
        return ended

    def _extend_limits(self, lag_s: float) -> None:
        """Extend all time limits by the time during which this thread did not run."""
        if lag_s < _LAG_S:
            return
        for transfer in self.running:
            transfer.started += lag_s
            transfer.deadline += lag_s
            transfer.seen_at += lag_s
            transfer.window_at += lag_s

    def _overdue(self, now: float) -> list[Transfer]:
        overdue = []
        stalled = 0
        for transfer in self.running:
            if transfer.is_first and now - transfer.started > _STALLED_S and not transfer.lines:
                stalled += 1
            if transfer.cause is None:
                transfer.cause = self._exceeded_limit(transfer, now)
                if transfer.cause is not None:
                    overdue.append(transfer)
        self._stalled = min(stalled, self._extra)
        return overdue

    def _exceeded_limit(self, transfer: Transfer, now: float) -> Cause | None:
        options = self._options
        if now > transfer.deadline:
            return Cause.TIMEOUT_TOTAL
        if not transfer.lines:
            transfer.seen_at = transfer.window_at = now
            if now - transfer.started <= options.timeout_s:
                return None
            return self._first_byte_timeout(transfer, now)
        if transfer.size != transfer.seen_size:
            transfer.seen_size = transfer.size
            transfer.seen_at = now
        elif now - transfer.seen_at > options.timeout_s:
            return Cause.TOO_SLOW
        if now - transfer.window_at < options.low_speed_time_s:
            return None
        expected = options.low_speed_bytes_per_s * (now - transfer.window_at)
        is_slow = transfer.size - transfer.window_size < expected
        transfer.window_at = now
        transfer.window_size = transfer.size
        return Cause.TOO_SLOW if is_slow else None

    def _first_byte_timeout(self, transfer: Transfer, now: float) -> Cause | None:
        """Check a transfer without a first byte. libcurl enforces the limit on connecting."""
        sent_after_s = transfer.easy.getinfo(pycurl.PRETRANSFER_TIME)
        if not sent_after_s or now - transfer.started - sent_after_s <= self._options.timeout_s:
            return None
        return Cause.TIMEOUT_FIRST_BYTE


class Budget(NamedTuple):
    """File descriptors for one fetcher."""

    connections: int
    lookups: int
    extra: int


def budget(wanted_connections: int) -> Budget:
    """Raise the limit on open files if needed and allowed, and divide what is available."""
    opened = _open_now()
    limit = _limit(wanted_connections + MAX_LOOKUPS + MAX_EXTRA + opened + 4 * _SPARE)
    available = limit - opened - _SPARE
    lookups = max(1, min(MAX_LOOKUPS, available // 3))
    connections = max(1, min(wanted_connections, available - lookups))
    extra = max(0, min(MAX_EXTRA, available - lookups - connections))
    return Budget(connections, lookups, extra)


def _limit(needed: int) -> int:
    if sys.platform == "win32":
        return needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(ValueError, OSError):  # some systems refuse what they report as allowed
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        return raised
    return soft


def _open_now() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 32
