"""HTTP of the Hub of the tests: routes requests, injects faults, and logs."""

import contextlib
import json
import re
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dataset_assets_tests.support._hub_repos import Refused, Site

CHUNK_BYTES = 1 << 16
CUT_PAUSE_S = 0.05  # lets the client read what came before the break


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, for the log, without its token."""

    method: str
    path: str  # decoded, without the query
    query: str
    status: int  # 0: no response, or only a part of it
    signed: bool  # whether it had a token


@dataclass(slots=True)
class Fault:
    """A fault in the next `times` requests whose method and path match."""

    method: str
    pattern: str
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False
    cut_after: int | None = None
    fin: bool = False
    after: bool = False
    delay_s: float = 0
    action: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: str
    path: str  # as sent
    query: Mapping[str, str]
    headers: Message
    body: bytes

    @property
    def token(self) -> str | None:
        return (self.headers["Authorization"] or "").removeprefix("Bearer ") or None

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: either `body` or a range of a file."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    start: int = 0
    size: int | None = None

    @property
    def length(self) -> int:
        return len(self.body) if self.size is None else self.size

    def chunks(self) -> Iterator[bytes]:
        if self.file is None:
            yield self.body
            return
        left = self.length
        with self.file.open("rb") as file:
            file.seek(self.start)
            while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Respond with JSON."""
    return Answer(
        json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})}
    )


class Routes(list[tuple[str, re.Pattern[str], Callable[..., Answer]]]):
    """Methods and path patterns with the functions that respond."""

    def on(
        self, method: str, pattern: str
    ) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
        """Register a function.

        `{repo}` matches owner and name, any other `{x}` text without a slash. The function gets
        them unquoted.
        """
        regex = re.compile(
            re.sub(r"\{\w+\}", "([^/]+)", pattern.replace("{repo}", "([^/]+/[^/]+?)"))
        )

        def register(function: Callable[..., Answer]) -> Callable[..., Answer]:
            self.append((method, regex, function))
            return function

        return register

    def answer(self, site: Site, asked: Asked) -> Answer:
        """Respond to a request. Raises Refused."""
        method = "GET" if asked.method == "HEAD" else asked.method
        for known, regex, function in self:
            if known == method and (match := regex.fullmatch(asked.path)):
                return function(site, asked, *(unquote(group or "") for group in match.groups()))
        raise Refused(404, f"This Hub does not know {asked.method} {asked.path}")


class Server(ThreadingHTTPServer):
    """The listening socket, and the state that all requests share."""

    daemon_threads = False  # `server_close` waits for them
    request_queue_size = 128

    def __init__(self, site: Site, routes: Routes, secrets: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.site, self.routes, self.lock, self.stopping = (
            site,
            routes,
            threading.RLock(),
            threading.Event(),
        )
        self.seen: list[Seen] = []
        self.leaks: list[str] = []
        self.errors: list[str] = []
        self.faults: list[Fault] = []
        self._secrets = secrets
        self._open: set[socket.socket] = set()

    def take_fault(self, method: str, path: str) -> Fault:
        """Return the fault of a request, or one without effect."""
        with self.lock:
            for fault in self.faults:
                if (
                    fault.times > 0
                    and re.fullmatch(fault.method, method)
                    and re.search(fault.pattern, path)
                ):
                    fault.times -= 1
                    return fault
        return Fault(method, path)

    def note(self, method: str, target: str, headers: Message, status: int) -> None:
        """Log a request, without secrets."""
        for secret in self._secrets:
            target = target.replace(secret, "***")
        parts = urlsplit(target)
        with self.lock:
            self.seen.append(
                Seen(method, unquote(parts.path), parts.query, status, "Authorization" in headers)
            )

    def look_for_leaks(self, asked: Asked, target: str) -> None:
        """Record a request that has a token anywhere but in `Authorization`."""
        places = {"url": target, "body": asked.body.decode("utf-8", "replace")}
        places |= {
            f"header {name}": value
            for name, value in asked.headers.items()
            if name.lower() != "authorization"
        }
        for place, text in places.items():
            if any(secret in text for secret in self._secrets):
                self.leaks.append(
                    f"{asked.method} {unquote(asked.path.partition('?')[0])}: {place}"
                )

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def start(self) -> None:
        """Start to serve, on a thread."""
        threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="hub-server",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Close everything, idle connections included."""
        self.stopping.set()
        self.shutdown()
        with self.lock:
            for connection in self._open:
                _hang_up(connection)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Record an error of this server; disconnected clients are none."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.errors.append(traceback.format_exc())


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None:
        """Log nothing: `Server.seen` is the log."""

    def _serve(self) -> None:
        fault = self.server.take_fault(self.command, unquote(urlsplit(self.path).path))
        if fault.close:
            self._note(0)
            self._reset()
            return
        asked = self._read()
        self.server.look_for_leaks(asked, self.path)
        if fault.delay_s:
            self.server.stopping.wait(fault.delay_s)
        if fault.action:
            fault.action()
        answer = (
            as_json({"error": "injected"}, fault.status, fault.headers)
            if fault.status
            else self._answer(asked)
        )
        if fault.after:
            self._note(0)
            self._reset()
            return
        cut = (
            fault.cut_after is not None
            and fault.cut_after < answer.length
            and self.command != "HEAD"
        )
        self._note(
            0 if cut else answer.status
        )  # before the answer: who has it may look into the log at once
        self._send(answer, fault.cut_after if cut else None, fin=fault.fin)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _note(self, status: int) -> None:
        self.server.note(self.command, self.path, self.headers, status)

    def _read(self) -> Asked:
        parts = urlsplit(self.path)
        return Asked(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            self.headers,
            self._body(),
        )

    def _body(self) -> bytes:
        if "chunked" not in (self.headers["Transfer-Encoding"] or ""):
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = bytearray()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _answer(self, asked: Asked) -> Answer:
        try:
            with self.server.lock:
                return self.server.routes.answer(self.server.site, asked)
        except Refused as refused:
            code = {"X-Error-Code": refused.code} if refused.code else {}
            return as_json(
                {"error": refused.message},
                refused.status,
                {"X-Error-Message": refused.message, **code, **refused.headers},
            )
        except Exception:
            self.server.errors.append(traceback.format_exc())
            return as_json({"error": "the Hub of the tests has a bug"}, 500)

    def _send(self, answer: Answer, cut_after: int | None, *, fin: bool) -> None:
        self.send_response(answer.status)
        for name, value in {
            "Content-Length": str(answer.length),
            "X-Request-Id": "local",
            **answer.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        left = cut_after
        for chunk in answer.chunks():
            self.wfile.write(chunk if left is None else chunk[:left])
            if left is not None and (left := left - len(chunk)) <= 0:
                self.server.stopping.wait(CUT_PAUSE_S)
                self._finish() if fin else self._reset()
                return

    def _reset(self) -> None:
        """Abort the connection."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _finish(self) -> None:
        """Close the connection before the response is complete."""
        self.close_connection = True
        _hang_up(self.connection)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        connection.shutdown(socket.SHUT_RDWR)
