"""A local HTTP proxy for tests: CONNECT and absolute URLs, names of its own, and a password.

    with HttpServer() as server, ProxyServer({"photos.example": server.port}) as proxy:
        proxy.url()                  # http://127.0.0.1:<port>
        proxy.log                    # ["GET http://photos.example/a", "CONNECT photos.example:443"]

Names that it does not have are answered with 502, as proxies answer names that do not exist.
"""

import asyncio
import base64
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from dataset_assets_tests.support.async_server import AsyncServer


class ProxyServer(AsyncServer):
    """A running proxy.

    Args:
        hosts: name -> port of this machine.
        login: `user:password` that every request must have.
        answer: status of every request, instead of passing it on.
    """

    def __init__(
        self, hosts: Mapping[str, int], *, login: str | None = None, answer: int | None = None
    ) -> None:
        self.log: list[str] = []
        self._hosts = hosts
        self._login = login
        self._answer = answer

    def url(self, login: str = "") -> str:
        """Return the URL of this proxy."""
        return f"http://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._handle(reader, writer)
        writer.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = line.split()
        self.log.append(f"{method} {target}")
        place = urlsplit(f"//{target}" if method == "CONNECT" else target)
        port = self._hosts.get(place.hostname or "")
        status = self._answer or (407 if not self._is_allowed(headers) else 502 if not port else 0)
        if status or port is None:
            head = 'Proxy-Authenticate: Basic realm="test"\r\n' if status == 407 else ""
            writer.write(f"HTTP/1.1 {status} No\r\n{head}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        from_host, to_host = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_copy(reader, to_host), _copy(from_host, writer))
            return
        path = target.partition("://")[2].partition("/")[2]
        kept = [each for each in headers if not each.lower().startswith("proxy-")]
        to_host.write("\r\n".join([f"{method} /{path} HTTP/1.1", *kept]).encode("latin-1"))
        await _pass_on(from_host, writer)
        to_host.close()

    def _is_allowed(self, headers: list[str]) -> bool:
        if self._login is None:
            return True
        token = base64.b64encode(self._login.encode()).decode()
        return f"proxy-authorization: basic {token}".lower() in (each.lower() for each in headers)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass one response on, after which the connection ends."""
    line, *headers = (await source.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {each.lower().partition(":")[0]: each.partition(":")[2].strip() for each in headers}
    target.write("\r\n".join([line, "Connection: close", *headers]).encode("latin-1"))
    target.write(await source.readexactly(int(fields["content-length"])))
    await target.drain()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
