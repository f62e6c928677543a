"""A local HTTP(S) server for tests: serves files, injects faults, and logs requests.

    with HttpServer() as server:
        server.add("/a.jpg", body=jpeg, content_type="image/jpeg")
        server.url("/a.jpg")                # http://127.0.0.1:<port>/a.jpg
        server.url("/fault/truncated")      # every name in FAULTS
        server.hits["/a.jpg"], server.peak, server.log

It is plain asyncio on its own thread, so it can also send invalid HTTP. Equal requests get equal
responses.

    /bytes/<n>            n bytes             /status/<code>        a response with that status
    /slow/<seconds>/<n>   n bytes, late       /flaky/<n>/<code>/x   n times that status, then 200
    /redirect/<n>         n hops to /bytes/100
"""

import asyncio
import gzip
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qs, urlsplit

Headers = Iterable[tuple[str, str]]


@dataclass(slots=True)
class Seen:
    """One request as the server saw it."""

    path: str  # without query
    target: str  # as sent
    headers: dict[str, str]  # names in lower case
    connection: int  # number of the connection, from 0
    at: float  # s, on the monotonic clock


@dataclass(slots=True)
class Route:
    """A fixed response."""

    body: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    delay_s: float


class Exchange:
    """One request, and the means to send a valid or an invalid response."""

    def __init__(
        self,
        seen: Seen,
        number: int,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        sent: Counter[str],
    ) -> None:
        self.seen = seen
        self.number = number  # of this request among those for the path, from 1
        self.path, self.query = seen.path, parse_qs(urlsplit(seen.target).query)
        self.keep_alive = True
        self._reader, self._writer = streams
        self._sent = sent

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()
        self._sent[self.path] += len(data)

    async def head(self, status: int = 200, headers: Headers = ()) -> None:
        """Send a status line and headers."""
        phrase = (
            HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unheard Of"
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        await self.send(f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("latin-1"))

    async def reply(self, body: bytes = b"", status: int = 200, headers: Headers = ()) -> None:
        """Send a complete, valid response."""
        await self.head(status, [("Content-Length", str(len(body))), *headers])
        await self.send(body)

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        self.keep_alive = False
        await self._reader.read()

    @property
    def is_resumed(self) -> bool:
        """Whether the connection's TLS session was a resumed one."""
        return bool(self._writer.get_extra_info("ssl_object").session_reused)

    def close(self) -> None:
        """Close the connection after this response."""
        self.keep_alive = False

    def reset(self) -> None:
        """Abort the connection."""
        self.keep_alive = False
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._writer.transport.abort()


Handler = Callable[[Exchange], Awaitable[None]]


@dataclass
class HttpServer:
    """A running server.

    `handler` gets every request first. It returns False to leave the request to the routes.
    """

    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    handler: Callable[[Exchange], Awaitable[bool]] | None = None
    routes: dict[str, Route] = field(default_factory=dict)
    log: list[Seen] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)  # requests by path
    sent: Counter[str] = field(default_factory=Counter)  # bytes by path
    connections: int = 0
    peak: int = 0  # largest number of concurrent requests
    port: int = 0

    def add(
        self,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = "application/octet-stream",
        status: int = 200,
        headers: Headers = (),
        delay_s: float = 0,
    ) -> str:
        """Serve a file; return its URL."""
        self.routes[path] = Route(body, status, (("Content-Type", content_type), *headers), delay_s)
        return self.url(path)

    def url(self, path: str = "/", host: str | None = None) -> str:
        """Return the URL of a path. `host` is another name of this server."""
        name = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}{path}"

    @property
    def requests(self) -> int:
        """Number of requests."""
        return len(self.log)

    def forget(self) -> None:
        """Reset all counts."""
        self.log.clear()
        self.hits.clear()
        self.sent.clear()
        self.connections = self.peak = 0

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)), name="http-server", daemon=True
        )
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _run(self, started: threading.Event) -> None:
        self._loop, self._stop, self._busy = asyncio.get_running_loop(), asyncio.Event(), 0
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(
            self._accept, self.host, 0, ssl=self.tls, backlog=4096, limit=1 << 20
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer, self.connections))
        self.connections += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        try:
            while await self._answer(
                await reader.readuntil(b"\r\n\r\n"), (reader, writer), connection
            ):
                pass
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            asyncio.CancelledError,
        ):
            pass  # the client has gone, or the server stops
        finally:
            writer.transport.abort() if self._stop.is_set() else writer.close()

    async def _answer(
        self,
        request: bytes,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        connection: int,
    ) -> bool:
        first, *lines = request.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        target = first.split(" ")[1]
        seen = Seen(target.partition("?")[0], target, headers, connection, self._loop.time())
        self.log.append(seen)
        self.hits[seen.path] += 1
        self._busy += 1
        self.peak = max(self.peak, self._busy)
        try:
            exchange = Exchange(seen, self.hits[seen.path], streams, self.sent)
            if self.handler is None or not await self.handler(exchange):
                await self._route(exchange)
        finally:
            self._busy -= 1
        return exchange.keep_alive

    async def _route(self, exchange: Exchange) -> None:
        route = self.routes.get(exchange.path)
        name, *rest = exchange.path.strip("/").split("/")
        if route is not None:
            await asyncio.sleep(route.delay_s)
            await exchange.reply(route.body, route.status, route.headers)
        elif name == "fault" and rest and rest[0] in FAULTS:
            await FAULTS[rest[0]](exchange)
        elif name in PATTERNS and rest:
            await PATTERNS[name](exchange, *rest)
        else:
            await exchange.reply(b"nothing here", 404)


def payload(size: int) -> bytes:
    """Return the body of `/bytes/<size>`."""
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


async def _bytes(exchange: Exchange, size: str, *_: str) -> None:
    await exchange.reply(payload(int(size)))


async def _status(exchange: Exchange, code: str, *_: str) -> None:
    await exchange.reply(b"sorry", int(code))


async def _slow(exchange: Exchange, seconds: str, size: str, *_: str) -> None:
    await asyncio.sleep(float(seconds))
    await exchange.reply(payload(int(size)))


async def _flaky(exchange: Exchange, failures: str, code: str, *_: str) -> None:
    headers = [("Retry-After", value) for value in exchange.query.get("after", [])]
    if exchange.number <= int(failures):
        await exchange.reply(b"not yet", int(code), headers)
    else:
        await exchange.reply(payload(100))


async def _redirect(exchange: Exchange, hops: str, *_: str) -> None:
    there = f"/redirect/{int(hops) - 1}" if int(hops) > 1 else "/bytes/100"
    await exchange.reply(b"", 302, [("Location", there)])


#: First part of a path -> handler of the rest.
PATTERNS: dict[str, Callable[..., Awaitable[None]]] = {
    "bytes": _bytes,
    "status": _status,
    "slow": _slow,
    "flaky": _flaky,
    "redirect": _redirect,
}

FAULTS: dict[str, Handler] = {}


def fault(handler: Handler) -> Handler:
    """Serve a handler as `/fault/<its name>`."""
    FAULTS[handler.__name__] = handler
    return handler


def _raw(name: str, data: bytes, *, close: bool = True) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.keep_alive = not close

    FAULTS[name] = handler


def _location(name: str, location: str) -> None:
    _raw(
        name,
        f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode(),
        close=False,
    )


_OK = b"HTTP/1.1 200 OK\r\n"
_BOMB = gzip.compress(bytes(30_000_000), 9)
_raw("truncated", _OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 500)
_raw("chunk_truncated", _OK + b"Transfer-Encoding: chunked\r\n\r\n1f4\r\n" + b"x" * 500 + b"\r\n")
_raw("no_length", _OK + b"Connection: close\r\n\r\n" + b"x" * 500)
_raw(
    "longer",
    _OK + b"Content-Length: 100\r\n\r\n" + b"x" * 100 + _OK + b"Content-Length: 4\r\n\r\nevil",
    close=False,
)
_raw("negative_length", _OK + b"Content-Length: -5\r\n\r\n" + b"x" * 500)
_raw("two_lengths", _OK + b"Content-Length: 5\r\nContent-Length: 500\r\n\r\n" + b"x" * 500)
_raw("garbage", b"\x00\x01\x02garbage\r\n\r\n")
_raw("nothing", b"")
_raw("empty_body", _OK + b"Content-Length: 0\r\n\r\n", close=False)
_raw("declared_10gb", _OK + b"Content-Length: 10000000000\r\n\r\n" + b"x" * 1000)
_raw(
    "gzip_bomb",
    _OK
    + b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_BOMB)
    + _BOMB,
)
_raw(
    "large_headers",
    _OK
    + b"".join(b"X-%d: " % i + b"a" * 8000 + b"\r\n" for i in range(90))
    + b"Content-Length: 2\r\n\r\nok",
)
_raw(
    "some_headers",
    _OK
    + b"".join(b"X-%d: " % i + b"a" * 8000 + b"\r\n" for i in range(10))
    + b"Content-Length: 2\r\n\r\nok",
)
_raw(
    "many_headers",
    _OK + b"".join(b"X-%d: a\r\n" % i for i in range(50_000)) + b"Content-Length: 2\r\n\r\nok",
)
_raw(
    "html",
    _OK
    + b"Content-Type: text/html; charset=utf-8\r\nContent-Length: 24\r\n\r\n"
    + b"<!doctype html><p>hi</p>",
    close=False,
)
_raw(
    "early_hints",
    b"HTTP/1.1 103 Early Hints\r\nX-Robots-Tag: noai\r\n\r\n"
    + _OK
    + b"Content-Length: 2\r\n\r\nok",
    close=False,
)
_raw(
    "partial",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok",
    close=False,
)
_location("loop", "/fault/loop")
_location("to_file", "file:///etc/hostname")
_location("to_ftp", "ftp://127.0.0.1/x")
_location("to_data", "data:text/plain,hello")
_location("to_metadata", "http://169.254.169.254/latest/meta-data/")


@fault
async def hang(exchange: Exchange) -> None:
    """Send nothing."""
    await exchange.gone()


@fault
async def dripping(exchange: Exchange) -> None:
    """Send a body very slowly."""
    await exchange.head(200, [("Content-Length", "100000")])
    while True:
        await exchange.send(b"x")
        await asyncio.sleep(0.05)


@fault
async def dripping_headers(exchange: Exchange) -> None:
    """Send headers very slowly, a line at a time."""
    await exchange.send(_OK)
    while True:
        await exchange.send(b"X-A: aaaaaaaaaa\r\n")
        await asyncio.sleep(0.05)


@fault
async def stalled(exchange: Exchange) -> None:
    """Stop in the middle of a body."""
    await exchange.head(200, [("Content-Length", "100000")])
    await exchange.send(b"x" * 50_000)
    await exchange.gone()


@fault
async def endless(exchange: Exchange) -> None:
    """Send an endless body."""
    await exchange.head(200, [("Transfer-Encoding", "chunked")])
    while True:
        await exchange.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


@fault
async def reset(exchange: Exchange) -> None:
    """Abort in the middle of a body."""
    await exchange.head(200, [("Content-Length", "1000")])
    await exchange.send(b"x" * 10)
    await asyncio.sleep(0.02)
    exchange.reset()


@fault
async def opt_out_then_body(exchange: Exchange) -> None:
    """Send an opt-out header, wait, and send the body to a client that is still connected."""
    await exchange.head(200, [("X-Robots-Tag", "noai"), ("Content-Length", "10000000")])
    await asyncio.sleep(0.3)
    await exchange.send(b"x" * 10_000_000)


@fault
async def closes_idle(exchange: Exchange) -> None:
    """Send a valid response, then close the connection in spite of keep-alive."""
    await exchange.reply(payload(100))
    exchange.close()
