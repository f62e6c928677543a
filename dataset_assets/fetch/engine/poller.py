"""Waits for sockets on behalf of libcurl: epoll on Linux, the standard selector elsewhere.

Descriptor numbers have no limit. `watch` has the signature of libcurl's socket callback,
https://curl.se/libcurl/c/CURLMOPT_SOCKETFUNCTION.html.
"""

import select
import selectors
import sys
from contextlib import suppress
from typing import Protocol

import pycurl

_MAX_EVENTS = 512
# EPOLLIN is 1, EPOLLOUT 4.
_EPOLL_WANTED = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: 1,
    pycurl.POLL_OUT: 4,
    pycurl.POLL_INOUT: 5,
}
# Index: the sum of EPOLLIN 1, EPOLLOUT 4, EPOLLERR 8 and EPOLLHUP 16.
_EPOLL_SEEN = tuple(
    (pycurl.CSELECT_IN if event & 1 else 0)
    | (pycurl.CSELECT_OUT if event & 4 else 0)
    | (pycurl.CSELECT_ERR if event & 24 else 0)
    for event in range(32)
)


class Poller(Protocol):
    """Waits for many sockets at once."""

    def watch(self, what: int, descriptor: int, *ignored: object) -> None:
        """Start to wait for `pycurl.POLL_IN`, `POLL_OUT` or both; stop on `POLL_REMOVE`."""

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return ready descriptors, each with `pycurl.CSELECT_*` bits."""

    def close(self) -> None:
        """Release the descriptors of the poller itself."""


def new_poller() -> Poller:
    """Create the fastest poller of this platform."""
    return EpollPoller() if sys.platform == "linux" else SelectorPoller()


class EpollPoller:
    """epoll, level triggered.

    libcurl stops watching a connection after each response and watches it again for the next one.
    To save system calls, a descriptor stays registered until it reports an unexpected event or is
    closed.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wanted: dict[int, int] = {}
        self._idle: set[int] = set()  # registered, as far as is known

    def watch(self, what: int, descriptor: int, *_: object) -> None:
        """Change what is waited for."""
        if what == pycurl.POLL_REMOVE:
            if self._wanted.pop(descriptor, None) is not None:
                self._idle.add(descriptor)
            return
        wanted = _EPOLL_WANTED[what]
        if descriptor in self._wanted:
            self._epoll.modify(descriptor, wanted)
        else:
            self._register(descriptor, wanted)
        self._wanted[descriptor] = wanted

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return ready descriptors, each with `pycurl.CSELECT_*` bits."""
        ready = self._epoll.poll(timeout_s, _MAX_EVENTS)
        if self._idle:
            ready = [
                (descriptor, event)
                for descriptor, event in ready
                if descriptor in self._wanted or self._forget(descriptor)
            ]
        return [(descriptor, _EPOLL_SEEN[event & 31]) for descriptor, event in ready]

    def close(self) -> None:
        """Release the descriptors of the poller itself."""
        self._epoll.close()

    def _register(self, descriptor: int, wanted: int) -> None:
        if descriptor in self._idle:
            self._idle.discard(descriptor)
            try:
                self._epoll.modify(descriptor, wanted)
            except FileNotFoundError:  # closed meanwhile; another socket has the number now
                pass
            else:
                return
        self._epoll.register(descriptor, wanted)

    def _forget(self, descriptor: int) -> bool:
        """Unregister an idle connection that had an event, such as a close. Returns False."""
        self._idle.discard(descriptor)
        with suppress(OSError):
            self._epoll.unregister(descriptor)
        return False


class SelectorPoller:
    """The standard library's selector."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, what: int, descriptor: int, *_: object) -> None:
        """Change what is waited for."""
        wanted = 0
        if what & pycurl.POLL_IN:
            wanted |= selectors.EVENT_READ
        if what & pycurl.POLL_OUT:
            wanted |= selectors.EVENT_WRITE
        known = descriptor in self._selector.get_map()
        if what in (pycurl.POLL_REMOVE, pycurl.POLL_NONE):
            if known:
                self._selector.unregister(descriptor)
        elif known:
            self._selector.modify(descriptor, wanted)
        else:
            self._selector.register(descriptor, wanted)

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return ready descriptors, each with `pycurl.CSELECT_*` bits."""
        return [
            (
                key.fd,
                (pycurl.CSELECT_IN if event & selectors.EVENT_READ else 0)
                | (pycurl.CSELECT_OUT if event & selectors.EVENT_WRITE else 0),
            )
            for key, event in self._selector.select(timeout_s)
        ]

    def close(self) -> None:
        """Release the descriptors of the poller itself."""
        self._selector.close()
