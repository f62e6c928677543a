"""A server of archives for tests: serves files with ranges and validators, and injects faults.

    with ArchiveServer(folder) as server:
        server.cut_after("train2017.zip", 10_000, times=3)
        RangeFile(server.url("train2017.zip"))
        server.log, server.ranges("train2017.zip"), server.bytes_sent("train2017.zip")

A fault affects responses with a body. `times` counts the affected
responses; `FOREVER` never ends.
"""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

FOREVER = 1 << 30
_CHUNK = 1 << 16


@dataclass(slots=True)
class Seen:
    """One request."""

    method: str
    target: str  # path and query as sent
    name: str  # of the file; "" for other pages
    range: str | None  # the header as sent
    headers: dict[str, str]  # of the request, lower case names
    status: int = 0  # 0: no response
    sent: int = 0  # bytes of the body


@dataclass(slots=True)
class _Fault:
    name: str
    kind: str
    value: int
    times: int
    headers: dict[str, str] = field(default_factory=dict)


class ArchiveServer:
    """Serves the files of a folder until it is closed."""

    def __init__(self, folder: Path | str, *, latency_s: float = 0.0) -> None:
        self.folder, self.latency_s = Path(folder), latency_s
        self.log: list[Seen] = []
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = _Server(self)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="archive-server", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def url(self, name: str = "") -> str:
        """Return the URL of a file."""
        return f"http://{self.host}/{quote(name)}"

    # What happened

    def requests(self, name: str | None = None) -> int:
        """Return the number of requests, or of those for a file."""
        return sum(name in {None, seen.name} for seen in self.log)

    def bytes_sent(self, name: str) -> int:
        """Return the sum of the bytes of bodies."""
        return sum(seen.sent for seen in self.log if seen.name == name)

    def ranges(self, name: str) -> list[str | None]:
        """Return the Range header of each request for a file."""
        return [seen.range for seen in self.log if seen.name == name and seen.method == "GET"]

    def forget(self) -> None:
        """Clear the log."""
        self.log.clear()

    # What goes wrong

    def cut_after(self, name: str, n_bytes: int, times: int = 1) -> None:
        """Close the connection after a number of bytes of a longer body."""
        self._add(name, "cut_after", n_bytes, times)

    def cut_at(self, name: str, offset: int, times: int = 1) -> None:
        """Close the connection before a byte of the file, in a body that began earlier."""
        self._add(name, "cut_at", offset, times)

    def stall_after(self, name: str, n_bytes: int, times: int = 1) -> None:
        """Stall after a number of bytes, and keep the connection open."""
        self._add(name, "stall_after", n_bytes, times)

    def status(
        self, name: str, code: int, times: int = 1, retry_after: str | int | None = None
    ) -> None:
        """Return an error."""
        self._add(
            name,
            "status",
            code,
            times,
            {} if retry_after is None else {"Retry-After": str(retry_after)},
        )

    def redirect(self, name: str, location: str, times: int = FOREVER, code: int = 302) -> None:
        """Redirect to another URL."""
        self._add(name, "status", code, times, {"Location": location})

    def no_ranges(self, name: str, times: int = FOREVER) -> None:
        """Send the whole file and ignore the requested range."""
        self._add(name, "no_ranges", 0, times)

    def no_validators(self, name: str, times: int = FOREVER) -> None:
        """Leave out ETag and Last-Modified."""
        self._add(name, "no_validators", 0, times)

    def no_length(self, name: str, times: int = FOREVER) -> None:
        """Send no Content-Length, and close the connection after the body."""
        self._add(name, "no_length", 0, times)

    def corrupt(self, name: str, offset: int, times: int = 1) -> None:
        """Flip a bit of one byte of the file."""
        self._add(name, "corrupt", offset, times)

    def slow(self, name: str, bytes_per_s: int, times: int = FOREVER) -> None:
        """Limit the speed of a body."""
        self._add(name, "slow", bytes_per_s, times)

    def heal(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def _add(
        self, name: str, kind: str, value: int, times: int, headers: dict[str, str] | None = None
    ) -> None:
        with self._lock:
            self._faults.append(_Fault(name, kind, value, times, headers or {}))

    def take(self, name: str, kind: str, start: int = 0, end: int = 1 << 62) -> _Fault | None:
        """Consume a fault that affects bytes `start` to `end` of a file."""
        with self._lock:
            for fault in self._faults:
                place = {
                    "cut_at": fault.value - 1,
                    "corrupt": fault.value,
                    "cut_after": start + fault.value,
                    "stall_after": start + fault.value,
                }.get(kind, start)
                if (
                    fault.name == name
                    and fault.kind == kind
                    and fault.times > 0
                    and start <= place < end
                ):
                    fault.times -= 1
                    return fault
        return None

    # What is served

    def answer(self, exchange: "Exchange") -> None:
        """Respond to a request with the file of its path."""
        if exchange.method == "POST":
            exchange.reply(b"", 405)
        else:
            exchange.send_file(unquote(urlsplit(exchange.path).path).lstrip("/"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, site: ArchiveServer) -> None:
        self.site = site
        super().__init__(("127.0.0.1", 0), Exchange)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class Exchange(BaseHTTPRequestHandler):
    """One connection. Each request is passed to the site's `answer`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    body: bytes
    seen: Seen

    @property
    def method(self) -> str:
        return self.command

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        site = self.server.site
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen = Seen(self.command, self.path, "", self.headers["Range"], headers)
        site.log.append(self.seen)
        time.sleep(site.latency_s)
        site.answer(self)

    do_HEAD = do_POST = do_GET

    def cookie(self, name: str) -> str:
        """Return a cookie; "" when it was not sent."""
        found = SimpleCookie(self.headers["Cookie"] or "").get(name)
        return found.value if found else ""

    def reply(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send a small response."""
        self._head(status, {**(headers or {}), "Content-Length": str(len(body))})
        if self.method != "HEAD":
            self.wfile.write(body)
            self.seen.sent = len(body)

    def send_file(self, name: str, headers: dict[str, str] | None = None) -> None:
        """Send a file or the requested range of it."""
        site, path = self.server.site, self.server.site.folder / name
        self.seen.name = name
        if fault := site.take(name, "status"):
            self.reply(b"sorry", fault.value, fault.headers)
        elif (
            not name
            or not path.resolve().is_relative_to(site.folder.resolve())
            or not path.is_file()
        ):
            self.reply(b"nothing here", 404)
        else:
            self._send_range(path, headers or {})

    def _send_range(self, path: Path, headers: dict[str, str]) -> None:
        name, stat = self.seen.name, path.stat()
        validators = {
            "ETag": f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"',
            "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
        }
        whole = self.server.site.take(name, "no_ranges") is not None
        condition = self.headers["If-Range"]
        asked = (
            None
            if whole or (condition and condition not in validators.values())
            else self.headers["Range"]
        )
        start, end = _range(asked, stat.st_size)
        if start >= end and asked:
            self.reply(b"", 416, {"Content-Range": f"bytes */{stat.st_size}"})
            return
        if not self.server.site.take(name, "no_validators"):
            headers = {**headers, **validators}
        headers |= {"Content-Range": f"bytes {start}-{end - 1}/{stat.st_size}"} if asked else {}
        headers |= {} if whole else {"Accept-Ranges": "bytes"}
        headers |= (
            {"Connection": "close"}
            if self.server.site.take(name, "no_length")
            else {"Content-Length": str(end - start)}
        )
        self._head(206 if asked else 200, headers)
        if self.method != "HEAD":
            self._send_body(path, start, end)

    def _send_body(self, path: Path, start: int, end: int) -> None:
        site, name, stop = self.server.site, self.seen.name, end
        stalled = site.take(name, "stall_after", start, end)
        for cut in (
            site.take(name, "cut_at", start, end),
            site.take(name, "cut_after", start, end),
            stalled,
        ):
            if cut:
                stop = min(stop, cut.value if cut.kind == "cut_at" else start + cut.value)
        corrupt, slow = site.take(name, "corrupt", start, stop), site.take(name, "slow")
        with path.open("rb") as file:
            if corrupt or slow:
                for data in _chunks(
                    file, start, stop, corrupt.value if corrupt else -1, slow.value if slow else 0
                ):
                    self.wfile.write(data)
                    self.seen.sent += len(data)
            elif stop > start:
                self.seen.sent += self.connection.sendfile(file, start, stop - start)
        if stalled:
            site.stopping.wait(60)
        self.close_connection = self.close_connection or stop < end

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.seen.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()  # "Connection: close" among them closes the connection afterwards


def _range(header: str | None, size: int) -> tuple[int, int]:
    """Return first byte and end; an empty range when it cannot be served."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not found or found[0] == "bytes=-":
        return 0, size
    if not found[1]:
        return max(0, size - int(found[2])), size
    return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size


def _chunks(file: Any, start: int, stop: int, corrupt_at: int, bytes_per_s: int) -> Iterator[bytes]:
    file.seek(start)
    step = max(1, min(_CHUNK, bytes_per_s // 50)) if bytes_per_s else _CHUNK
    while start < stop:
        data = bytearray(file.read(min(step, stop - start)))
        if 0 <= corrupt_at - start < len(data):
            data[corrupt_at - start] ^= 1
        yield bytes(data)
        start += len(data)
        time.sleep(len(data) / bytes_per_s if bytes_per_s else 0)
