"""One request and its response: a reusable libcurl handle, and what its callbacks record.

Callbacks run inside libcurl on the fetch thread. They only record facts and stop transfers.
Headers are checked before the body is read: opt-outs, size. `X-Robots-Tag` has the
meaning that img2dataset gives it: `noai, noindex` applies to every robot, `name: noai` only to the
robot of exactly that name, and any of several headers counts. `tdm-reservation: 1` is
https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240202/. Bodies are kept as they are
received: `content_coding` has the rule for compressed ones.
"""

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pycurl

from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.fetch.options import FetchOptions, default_ca_file
from dataset_assets.records.causes import Cause

_SUPPRESS_CONNECT_HEADERS = 265  # pycurl has no name for it
#: Statuses of responses that carry the file: RFC 9110, 15, has clients treat an unknown 2xx as 200;
#: 204 and 205 have no content. For 206, `_is_part` decides.
_WITH_FILE = frozenset(range(200, 300)) - {204, 205}
#: Statuses of empty files. 201, 202 and others say that something was made or is still to come.
_MAY_BE_EMPTY = (200, 203)
#: `Content-Range` of a response that is the whole file: from byte 0 to the last one.
_RANGE = re.compile(rb"bytes\s+(\d+)-(\d+)/(\d+)$")
#: Bytes to read of a response without a file, so that its connection can be reused.
_DRAIN_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
_STOP = -1
ACCEPT_PLAIN = "Accept-Encoding: identity"
#: Directives with a value after a colon. What precedes the colon is not a robot's name.
_VALUED = frozenset(
    (b"max-snippet", b"max-image-preview", b"max-video-preview", b"unavailable_after")
)


class HeaderCheck:
    """Checks the header lines of a response that carries the file."""

    def __init__(self, options: FetchOptions) -> None:
        self._limit = options.max_header_bytes
        self._directives = frozenset(
            entry.lower().encode() for entry in options.disallowed_directives
        )
        self._name = (options.user_agent_token or "").lower().encode()
        self._tdm = options.tdm_reservation
        self.allow_empty = options.allow_empty

    def refuses(self, lines: Sequence[bytes], *, consent: bool = True) -> Cause | None:
        """Tell why the body must not be read, or None.

        `consent=False` ignores opt-outs: for robots.txt itself.
        """
        head = b"".join(lines).lower()
        if len(head) > self._limit:
            return Cause.PROTOCOL_ERROR
        if not consent:
            return None
        may_opt_out = b"x-robots-tag:" in head or b"tdm-reservation:" in head
        return Cause.OPT_OUT if may_opt_out and self._opts_out(lines) else None

    def _opts_out(self, lines: Sequence[bytes]) -> bool:
        if self._tdm and b"1" in _values(lines, b"tdm-reservation"):
            return True
        return any(
            not self._directives.isdisjoint(self._directives_for_us(value))
            for value in _values(lines, b"x-robots-tag")
        )

    def _directives_for_us(self, value: bytes) -> list[bytes]:
        name, colon, rest = value.partition(b":")
        scoped = colon and b"," not in name and name.strip() not in _VALUED
        if scoped and name.strip() != self._name:
            return []
        return [entry.strip() for entry in (rest if scoped else value).split(b",")]


def _values(lines: Sequence[bytes], name: bytes) -> Iterator[bytes]:
    """Yield the values of a header in lower case."""
    for line in lines:
        found, _, value = line.lower().partition(b":")
        if found.strip() == name:
            yield value.strip()


@dataclass(slots=True)
class Meter:
    """Body bytes in flight, over all transfers."""

    bytes: int = 0


class Transfer:
    """A reusable handle. `begin` prepares a request; after its end the attributes describe it."""

    __slots__ = (
        "_answered",
        "_check",
        "_guard",
        "_has_pins",
        "_has_status",
        "_is_fresh",
        "_is_sent",
        "_meter",
        "_url",
        "awaited",
        "brings_file",
        "cap",
        "cause",
        "chunks",
        "code",
        "consent",
        "deadline",
        "easy",
        "error",
        "is_first",
        "job",
        "lines",
        "opened",
        "proxy",
        "refused",
        "seen_at",
        "seen_size",
        "size",
        "started",
        "status",
        "was_stale",
        "window_at",
        "window_size",
    )

    def __init__(
        self,
        easy: pycurl.Curl,
        check: HeaderCheck,
        guard: AddressGuard,
        meter: Meter,
        answered: list["Transfer"],
    ) -> None:
        self.easy = easy
        self._answered = answered
        self._check = check
        self._guard = guard
        self._meter = meter
        self._has_pins = False
        self._is_fresh = False
        self._is_sent = False
        self.was_stale = False  # whether a kept connection was closed without an answer
        self.proxy = ""  # URL of the proxy of this request
        self.cap = 0  # body bytes to accept
        self.is_first = False  # whether the host has never answered
        self.awaited = False  # whether jobs may wait for the header of this response
        self.consent = True  # whether opt-outs of the server apply
        self.deadline = 0.0  # seconds on the clock
        self.lines: list[bytes] = []
        self.chunks: list[bytes] = []
        self.job: Any = None
        self.cause: Cause | None = None
        self.refused: Cause | None = None
        easy.setopt(pycurl.HEADERFUNCTION, self._on_header)
        easy.setopt(pycurl.WRITEFUNCTION, self._on_body)
        easy.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        easy.setopt(pycurl.PREREQFUNCTION, self._before_request)

    def begin(
        self, url: str, pins: list[str], now: float, *, fresh: bool = False, proxy: str = ""
    ) -> None:
        """Prepare a request. `pins` are addresses for libcurl to remember, or to drop.

        `fresh` asks for a new connection, which is not kept either. `proxy` is its URL, or "" for
        none.
        """
        self.lines.clear()
        self.status = self.size = self.code = 0
        self.error = ""
        self.cause = self.refused = None
        self.was_stale = self._is_sent = False
        self.opened = self._has_status = self.brings_file = False
        self.started = self.seen_at = self.window_at = now
        self.seen_size = self.window_size = 0
        self._url = url
        self.easy.setopt(pycurl.URL, url)
        if proxy != self.proxy:
            self.proxy = proxy
            self.easy.setopt(pycurl.PROXY, proxy)
        if pins:
            self.easy.setopt(pycurl.RESOLVE, pins)
        elif self._has_pins:
            self.easy.unsetopt(pycurl.RESOLVE)
        self._has_pins = bool(pins)
        if fresh != self._is_fresh:
            self._is_fresh = fresh
            self.easy.setopt(pycurl.FRESH_CONNECT, int(fresh))
            self.easy.setopt(pycurl.FORBID_REUSE, int(fresh))

    def discard(self) -> None:
        """Release a body that was not taken."""
        if self.chunks:
            self.body()

    def send_headers(self, lines: list[str]) -> None:
        """Send these header lines with the request."""
        self.easy.setopt(pycurl.HTTPHEADER, lines)

    def body(self) -> bytes:
        """Return the body, which then no longer belongs to this transfer."""
        chunks = self.chunks
        whole = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._meter.bytes -= len(whole)
        chunks.clear()
        return whole

    def headers(self, name: bytes) -> list[bytes]:
        """Return all values of a response header, in lower case."""
        return list(_values(self.lines, name))

    def header(self, name: bytes) -> bytes:
        """Return the first value of a response header, or b""."""
        for line in self.lines:
            found, _, value = line.partition(b":")
            if found.strip().lower() == name:
                return value.strip()
        return b""

    @property
    def is_whole(self) -> bool:
        """Whether the response has ended well, with all bytes of a file."""
        is_sound = self.brings_file and not self.code and self.cause is None
        return is_sound and (self.size > 0 or self._is_empty_file())

    @property
    def is_tunneled(self) -> bool:
        """Whether the proxy, if any, sees only that there is a connection."""
        return self._url.startswith("https:") or self.proxy.startswith("socks")

    @property
    def reason(self) -> str:
        """The words after the status code."""
        return self.lines[0][13:].decode("latin-1").strip() if self.lines else ""

    def _on_header(self, line: bytes) -> int | None:
        if self._has_status:
            return None  # a trailer of a chunked body
        self.lines.append(line)
        return self._check_headers() if len(line) < 3 else None

    def _check_headers(self) -> int | None:
        """Decide after the last header whether to read the body."""
        status = self.lines[0][9:12]
        if status[:1] == b"1":  # an interim response; the final one follows
            self.lines.clear()
            return None
        self._has_status = True
        self.status = int(status) if status.isdigit() else 0
        if self.awaited:
            self.awaited = False
            self._answered.append(self)
        self.brings_file = self.status in _WITH_FILE
        if self.brings_file:
            self.cause = self._check.refuses(self.lines, consent=self.consent)
        if self.status == 206 and self.cause is None and self._is_part():
            self.cause = Cause.PARTIAL_BODY
        return None if self.cause is None else _STOP

    def _is_empty_file(self) -> bool:
        """Tell whether a response without a body is an empty file.

        Only if it says where the body ends: a connection that is closed may have been cut.
        """
        if not self._check.allow_empty or self.status not in _MAY_BE_EMPTY:
            return False
        is_chunked = b"chunked" in self.headers(b"transfer-encoding")
        return is_chunked or self.header(b"content-length") == b"0"

    def _is_part(self) -> bool:
        """Tell whether a response with status 206 has only a part of the file.

        Nobody asked for one, so a response that does not say which part it has is the whole file.
        """
        part = self.header(b"content-range").lower()
        if not part:
            return self.header(b"content-type").lower().startswith(b"multipart/byteranges")
        found = _RANGE.match(part)
        return found is None or int(found[1]) != 0 or int(found[2]) + 1 != int(found[3])

    def _on_body(self, data: bytes) -> int | None:
        self.size += len(data)
        if not self.brings_file:
            return None if self.size <= _DRAIN_BYTES else _STOP
        if self.size > self.cap:
            self.cause = Cause.TOO_LARGE
            return _STOP
        self._meter.bytes += len(data)
        self.chunks.append(data)
        return None

    def _before_request(self, *_: Any) -> int:
        """Let libcurl send the request once: a transfer is one request.

        It would send it again, up to five times and without a word, when a connection that was
        kept is closed without an answer.
        """
        if self._is_sent:
            self._end_stale()
            return int(pycurl.PREREQFUNC_ABORT)
        self._is_sent = True
        return int(pycurl.PREREQFUNC_OK)

    def _end_stale(self) -> None:
        self.was_stale = True
        self.cause = Cause.CONNECTION_RESET

    def _open_socket(self, _purpose: int, address: Any) -> Any:
        """Open a socket to an address that the guard allows. Every connection starts here."""
        if self._is_sent:
            self._end_stale()
            return pycurl.SOCKET_BAD
        if not self.proxy:  # else it connects to the host that the user chose
            refused = self._guard.refuses(address.addr[0], address.addr[1])
            if refused is not None:
                self.refused = refused
                return pycurl.SOCKET_BAD
        try:
            opened = socket.socket(address.family, address.socktype, address.protocol)
        except OSError:  # out of descriptors, or no such address family
            return pycurl.SOCKET_BAD  # libcurl tries the next address
        self.opened = True
        return opened


class TransferFactory:
    """Creates transfers with the same options."""

    def __init__(self, options: FetchOptions, guard: AddressGuard) -> None:
        self.meter = Meter()
        # Transfers whose header has come and is awaited.
        self.answered: list[Transfer] = []
        self._check = HeaderCheck(options)
        self._guard = guard
        self._settings = _settings(options)

    def new(self) -> Transfer:
        """Create a transfer."""
        easy = pycurl.Curl()
        for option, value in self._settings:
            easy.setopt(option, value)
        return Transfer(easy, self._check, self._guard, self.meter, self.answered)


def _settings(options: FetchOptions) -> list[tuple[int, Any]]:
    ca_file = options.ca_file or default_ca_file()
    return [
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.FOLLOWLOCATION, 0),
        # HTTP/2 costs 1.6 times the CPU with one fast host.
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.USERAGENT, options.user_agent),
        (pycurl.HTTPHEADER, [ACCEPT_PLAIN]),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.CONNECTTIMEOUT_MS, int(options.timeout_s * 1000)),
        (pycurl.BUFFERSIZE, _READ_BYTES),
        (pycurl.MAXFILESIZE_LARGE, options.max_bytes),
        (pycurl.DNS_CACHE_TIMEOUT, -1),  # see `fetch.hosts.resolver`
        (pycurl.PROXY, ""),  # none, whatever the environment says: `Transfer.begin` sets it
        (pycurl.NOPROXY, ""),
        (_SUPPRESS_CONNECT_HEADERS, 1),
        (pycurl.SSL_VERIFYPEER, int(options.verify_tls)),
        (pycurl.SSL_VERIFYHOST, 2 if options.verify_tls else 0),
        (pycurl.PROXY_SSL_VERIFYPEER, int(options.verify_tls)),
        (pycurl.PROXY_SSL_VERIFYHOST, 2 if options.verify_tls else 0),
        *([(pycurl.CAINFO, ca_file), (pycurl.PROXY_CAINFO, ca_file)] if ca_file else []),
    ]
