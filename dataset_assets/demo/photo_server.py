"""The photo server: HTTP/1.1 with keep-alive on 127.0.0.1, fast enough not to limit a download.

`PhotoServer` runs it as a child process that ends with its parent;
`python -m dataset_assets.demo.photo_server` runs it alone.

    GET /<kind>/<photo>/<x>-<y>-<width>x<height>.<jpg|png|webp>    an answer of `faults.KINDS`
    GET /shapes/<archive>.zip                                      an archive, or a range of it
    GET /robots.txt                                                the rules for robots
    GET /_stats                                                    counts of all requests but these
"""

import argparse
import asyncio
import errno
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self, cast

from dataset_assets.demo.archive_answers import archive_answer
from dataset_assets.demo.faults import KINDS, ROBOTS_TXT, Answer, Asked, End, answer, json_answer
from dataset_assets.demo.lists import HOST, PORT, SHAPES
from dataset_assets.demo.photos import PHOTOS, Crop
from dataset_assets.errors import ConfigurationError

_MODULE = "dataset_assets.demo.photo_server"
_STATS = "/_stats"
_MAX_HEAD_BYTES = 65536
_PARENT_CHECK_S = 0.5
_START_TIMEOUT_S = 15.0


class PhotoServer:
    """The server in a child process. A context manager that calls `start` and `stop`."""

    def __init__(self, port: int = PORT) -> None:
        #: 0 is any free port, known after `start`.
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the server, and return once it answers.

        Raises:
            ConfigurationError: the port is taken, or the server does not start.
            MissingDependency: a package that ships photographs is not installed.
        """
        for photo in PHOTOS.values():
            _ = photo.path
        # Bound here, so that the caller gets the error when the port is taken.
        with listen(self.port) as listener:
            self.port = listener.getsockname()[1]
            handle = listener.fileno()
            command = [sys.executable, "-m", _MODULE]
            command += ["--handle", str(handle), "--parent", str(os.getpid())]
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and module
                command, pass_fds=[handle], stdin=subprocess.DEVNULL
            )
        try:
            self.stats()
        except (OSError, http.client.HTTPException) as exc:
            self.stop()
            raise ConfigurationError(
                f"the photo server exited at once; run `{sys.executable} -m {_MODULE}` to see why"
            ) from exc
        return self

    def stop(self) -> None:
        """Stop the server. Idempotent."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def stats(self) -> dict[str, Any]:
        """Return the counts since the start: `requests`, and `by_kind` for each kind of path."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_START_TIMEOUT_S)
        try:
            connection.request("GET", _STATS)
            stats: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return stats

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


def listen(port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        ConfigurationError: another program has the port.
    """
    try:
        return socket.create_server((HOST, port), backlog=1024)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        message = (
            f"port {port} on {HOST} is in use, and the URLs of the demo name it; stop the other "
            "program (another demo?) and run again"
        )
        raise ConfigurationError(message) from exc


class Site:
    """What is at which path, and the number of requests for it."""

    def __init__(self) -> None:
        self._by_path: Counter[str] = Counter()
        self._by_kind: Counter[str] = Counter()

    def get(self, path: str, range_: str | None = None) -> Answer:
        """Answer a request and count it. `range_` is its header `Range`."""
        if path == _STATS:
            return json_answer({"requests": self._by_kind.total(), "by_kind": dict(self._by_kind)})
        name, _, rest = path.removeprefix("/").partition("/")
        if name == SHAPES:
            self._by_kind[name] += 1
            return archive_answer(rest, range_)
        kind = KINDS.get(name)
        crop = Crop.parse(rest)
        earlier = self._by_path[path]
        self._by_kind[name if kind or path == "/robots.txt" else "unknown"] += 1
        if path == "/robots.txt":
            return answer("200 OK", ROBOTS_TXT, "Content-Type: text/plain")
        if kind is None or crop is None:
            return answer("404 Not Found", b"no such photograph\n", "Content-Type: text/plain")
        self._by_path[path] += 1
        return kind.answer(Asked(path, crop, earlier))


class _Connection(asyncio.Protocol):
    """One connection: requests are answered one by one, in the order in which they arrive."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._received = bytearray()
        self._transport: asyncio.Transport
        # An answer that is sent with delays.
        self._sending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sending is not None:
            self._sending.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._serve()

    def _serve(self) -> None:
        while self._sending is None and not self._transport.is_closing():
            head, separator, rest = self._received.partition(b"\r\n\r\n")
            if not separator:
                if len(head) > _MAX_HEAD_BYTES:
                    self._transport.close()
                return
            self._received = rest
            self._send(*_respond(self._site, head))

    def _send(self, reply: Answer, end: End) -> None:
        if any(wait_s for wait_s, _ in reply.pieces):
            self._sending = asyncio.get_running_loop().create_task(self._send_slowly(reply, end))
            return
        for _, data in reply.pieces:
            self._transport.write(data)
        self._finish(end)

    async def _send_slowly(self, reply: Answer, end: End) -> None:
        for wait_s, data in reply.pieces:
            await asyncio.sleep(wait_s)
            self._transport.write(data)
        self._sending = None
        self._finish(end)
        self._serve()

    def _finish(self, end: End) -> None:
        if end is End.CLOSE:
            self._transport.close()
        elif end is End.RESET:
            handle = self._transport.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


def _respond(site: Site, head: bytearray) -> tuple[Answer, End]:
    """Parse the head of a request; return the answer and what happens to the connection."""
    line, *fields = head.decode("latin-1").split("\r\n")
    method, _, target = line.partition(" ")
    path, _, version = target.partition(" ")
    if version not in {"HTTP/1.1", "HTTP/1.0"} or method != "GET":
        return answer("405 Method Not Allowed", b"only GET\n", "Allow: GET"), End.CLOSE
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (field.partition(":") for field in fields)
    }
    reply = site.get(path.partition("?")[0], headers.get("range"))
    closes = version == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
    return reply, End.CLOSE if closes and reply.end is End.KEEP else reply.end


async def serve(listener: socket.socket, parent: int | None = None) -> None:
    """Answer until SIGTERM or SIGINT, or until the process `parent` has exited."""
    site = Site()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: _Connection(site), sock=listener)
    while not stop.is_set() and parent in {None, os.getppid()}:
        try:
            await asyncio.wait_for(stop.wait(), _PARENT_CHECK_S)
        except TimeoutError:
            continue
    server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server in this process."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {_MODULE}", description="Serve the photographs of the demo."
    )
    parser.add_argument(
        "--port",
        type=int,
        default=PORT,
        help="0 is any free port (default: %(default)s, which is in the lists)",
    )
    parser.add_argument(
        "--handle", type=int, help="listening socket inherited from the parent, instead of a port"
    )
    parser.add_argument(
        "--parent", type=int, help="process id; exit when it is no longer the parent"
    )
    chosen = parser.parse_args(arguments)
    if chosen.handle is not None:
        listener = socket.socket(fileno=chosen.handle)
    else:
        listener = listen(chosen.port)
        sys.stderr.write(
            f"photographs on http://{HOST}:{listener.getsockname()[1]}, counts at {_STATS}\n"
        )
    listener.setblocking(False)
    asyncio.run(serve(listener, chosen.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
