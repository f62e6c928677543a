"""One request at the HTTP server of the tests, and how to answer it, also with invalid HTTP."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
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


def payload(size: int) -> bytes:
    """Return the body of `/bytes/<size>`."""
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]
