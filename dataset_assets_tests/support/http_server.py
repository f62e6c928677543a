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
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dataset_assets_tests.support.async_server import AsyncServer
from dataset_assets_tests.support.http_exchange import Exchange, Headers, Seen, payload
from dataset_assets_tests.support.http_faults import FAULTS


@dataclass(slots=True)
class Route:
    """A fixed response."""

    body: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    delay_s: float


@dataclass
class HttpServer(AsyncServer):
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

    async def _listen(self) -> asyncio.Server:
        self._busy = 0
        self._tasks: set[asyncio.Task[None]] = set()
        return await asyncio.start_server(
            self._accept, self.host, 0, ssl=self.tls, backlog=4096, limit=1 << 20
        )

    async def _end(self) -> None:
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
