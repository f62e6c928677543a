"""The servers of a simulated web: names, hosts that answer, refuse, limit, hang, or are dead.

Needs the namespaces of `_namespace`. Here: starting and stopping the servers of a plan, and a look
at one host of each kind. Not here: which hosts there are (`_hosts`), what is measured (`web`).
"""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from _hosts import DELAYS_S, REQUESTS_PER_S, RETRY_AFTER_S, Host, WebPlan
from _namespace import cover
from _nginx import SERVER, Nginx, ServerError, end_with_parent

HERE = Path(__file__).resolve().parent
PORT = 80
PROBE_ADDRESS = "127.0.0.1"  # of nginx, for the wait until it is up
HANG_S = 60  # longer than any client waits
DEAD_CONNECT_S = 1.5
_IMAGE = "/000000/photo_000000.jpg"
_RESOLV_CONF = "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n"
_SLEEP = "location / {{ {limit} echo_sleep {delay_s}; echo_exec @file; }} location @file {{ }}"
_REFUSE = "location / {{ add_header Retry-After {seconds} always; return 429; }}"
_LIMIT = "limit_req zone=rate burst={burst} nodelay; add_header Retry-After 1 always;"


def use_name_server(folder: Path) -> None:
    """Let all programs of this namespace ask the name server of the simulated web.

    Args:
        folder: where the covering files are stored; it outlives the webs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cover("/etc/resolv.conf", _RESOLV_CONF, folder)
    if Path("/etc/nsswitch.conf").exists():
        cover("/etc/nsswitch.conf", "hosts: files dns\n", folder)


class SimulatedWeb(Nginx):
    """All servers of a plan. Use as a context manager, inside private namespaces."""

    def __init__(self, folder: Path, photos: str, plan: WebPlan) -> None:
        super().__init__(folder, photos)
        if not self.has_latency:
            raise ServerError(
                "expected nginx with its echo module, got none; "
                "do: apt-get install libnginx-mod-http-echo"
            )
        self.plan = plan
        self._addresses: dict[str, set[str]] = defaultdict(set)
        for host in plan.hosts:
            self._addresses[host.kind].add(host.address)
        self._name_server: subprocess.Popen[bytes] | None = None
        self._sockets: list[socket.socket] = []

    def pids(self) -> list[int]:
        """List the process ids of nginx and the name server."""
        names = [self._name_server.pid] if self._name_server is not None else []
        return super().pids() + names

    def responses(self) -> Counter[str]:
        """Count the responses so far by status; 499: the client left before."""
        time.sleep(1.1)  # nginx writes its log every second
        log = self.folder / "requests.log"
        return Counter(log.read_text().split()) if log.exists() else Counter()

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._start_name_server()
            for address in self._addresses["dead"]:
                self._open_dead(address)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()
        self._sockets.clear()
        if self._name_server is not None:
            self._name_server.kill()
            self._name_server.wait()
            self._name_server = None
        super().__exit__()

    def check(self) -> None:
        """Look at one host of each kind, as a client sees it.

        Raises:
            ServerError: one does not behave as it should.
        """
        with ThreadPoolExecutor(len(_CHECKS)) as pool:
            looks = {
                kind: pool.submit(look, host)
                for kind, look in _CHECKS.items()
                if (host := self.plan.one_of(kind)) is not None
            }
        wrong = {kind: look.result() for kind, look in looks.items() if look.result()}
        if wrong:
            told = "\n".join(f"  {kind}: {found}" for kind, found in wrong.items())
            raise ServerError(f"the simulated web does not behave as planned:\n{told}")

    # --- parts ---

    def _address(self) -> tuple[str, int]:
        return PROBE_ADDRESS, PORT

    def _prepare(self) -> None:
        super()._prepare()
        answers = {
            host.name: (host.address or host.kind.replace("silent_name", "silence"), host.lookup_s)
            for host in self.plan.hosts
        }
        (self.folder / "names.json").write_text(json.dumps(answers))

    def _http(self) -> str:
        return (
            "server_names_hash_max_size 65536;\n"
            f"  limit_req_zone $server_port zone=rate:1m rate={REQUESTS_PER_S}r/s;\n"
            "  limit_req_status 429;\n"
            "  limit_req_log_level info;\n"
            "  log_format status '$status';\n"
            f"  access_log {self.folder}/requests.log status buffer=64k flush=1s;"
        )

    def _servers(self) -> Iterator[str]:
        yield SERVER.format(listen=f"listen {PROBE_ADDRESS}:{PORT};", rest="access_log off;")
        limit = _LIMIT.format(burst=REQUESTS_PER_S - 1)
        rests = {
            kind: _SLEEP.format(limit=limit if kind == "rate" else "", delay_s=delay_s)
            for kind, delay_s in {**DELAYS_S, "hang": HANG_S}.items()
        }
        rests["limited"] = _REFUSE.format(seconds=RETRY_AFTER_S)
        for kind, rest in rests.items():
            if addresses := self._addresses[kind]:
                listen = "\n    ".join(
                    f"listen {each}:{PORT} backlog=4096;" for each in sorted(addresses)
                )
                yield SERVER.format(listen=listen, rest=rest)

    def _start_name_server(self) -> None:
        with (self.folder / "name_server.out").open("wb") as log:
            self._name_server = subprocess.Popen(
                [sys.executable, str(HERE / "_name_server.py"), str(self.folder / "names.json")],
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - there are no threads here
            )
        known = next(host.name for host in self.plan.hosts if host.kind == "fast")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._name_server.poll() is None:
            with contextlib.suppress(OSError):
                socket.getaddrinfo(known, PORT)
                return
            time.sleep(0.1)
        said = (self.folder / "name_server.out").read_text()
        raise ServerError(f"the name server does not answer; it said:\n{said}")

    def _open_dead(self, address: str) -> None:
        """Listen with a queue that is full: the kernel drops every further SYN."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, PORT))
        listener.listen(0)
        self._sockets += [listener, socket.create_connection((address, PORT), 5)]


# --- one look at a host; the text says what is wrong ---


def _looks_named(code: int) -> Callable[[Host], str]:
    def look(host: Host) -> str:
        try:
            return f"{host.name} is {socket.getaddrinfo(host.name, PORT)[0][4][0]}"
        except socket.gaierror as error:
            return "" if error.errno == code else str(error)

    return look


def _looks_answering(host: Host) -> str:
    started = time.monotonic()
    status, _ = _get(host)
    took_s = time.monotonic() - started
    expected_s = DELAYS_S[host.kind]
    if status != 200:
        return f"status {status}"
    return "" if expected_s <= took_s else f"answered after {took_s:.2f} s, not {expected_s} s"


def _looks_limited(host: Host) -> str:
    status, headers = _get(host)
    expected = (429, str(RETRY_AFTER_S))
    found = (status, headers["Retry-After"])
    return "" if found == expected else f"expected {expected}, got {found}"


def _looks_rated(host: Host) -> str:
    asked = 2 * REQUESTS_PER_S
    with ThreadPoolExecutor(asked) as pool:
        found = Counter(status for status, _ in pool.map(_get, [host] * asked))
    good = REQUESTS_PER_S <= found[200] <= 1.5 * REQUESTS_PER_S and found[200] + found[429] == asked
    return "" if good else f"{dict(found)} for {asked} requests at once"


def _looks_unreachable(error_class: type[OSError], waits_s: float) -> Callable[[Host], str]:
    """Return a look at a host that fails with an error after a wait."""

    def look(host: Host) -> str:
        started = time.monotonic()
        try:
            return f"status {_get(host, timeout_s=DEAD_CONNECT_S)[0]}"
        except error_class:
            took_s = time.monotonic() - started
            return "" if took_s >= waits_s else f"failed after {took_s:.2f} s"
        except OSError as error:
            return repr(error)

    return look


def _get(host: Host, timeout_s: float = 20) -> tuple[int, http.client.HTTPMessage]:
    address = socket.gethostbyname(host.name)
    if address != host.address:
        raise ServerError(f"{host.name} is {address}, not {host.address}")
    connection = http.client.HTTPConnection(address, PORT, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.request("GET", _IMAGE, headers={"Host": host.name})
        response = connection.getresponse()
        response.read()
        return response.status, response.headers


_CHECKS: dict[str, Callable[[Host], str]] = {
    "nxdomain": _looks_named(socket.EAI_NONAME),
    "servfail": _looks_named(socket.EAI_AGAIN),
    **dict.fromkeys(("fast", "medium", "slow", "slowest"), _looks_answering),
    "refusing": _looks_unreachable(ConnectionRefusedError, 0),
    "dead": _looks_unreachable(TimeoutError, DEAD_CONNECT_S),
    "hang": _looks_unreachable(TimeoutError, DEAD_CONNECT_S),
    "limited": _looks_limited,
    "rate": _looks_rated,
}
