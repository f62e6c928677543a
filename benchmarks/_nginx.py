"""nginx as the server of a benchmark: configuration, start, and stop by pid.

Here: what every nginx of the benchmarks has in common, and what it recorded (5xx responses, CPU).
Not here: what it serves (`_server`, `_web_server`). It is not the bottleneck: about 20,000
responses a second on one core. It listens on loopback addresses only.
"""

import contextlib
import ctypes
import getpass
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Self

ECHO_MODULE = "ngx_http_echo_module.so"
INSTALL_HINT = "on Debian and Ubuntu: apt-get install nginx-light libnginx-mod-http-echo"
_PR_SET_PDEATHSIG = 1

_MAIN = """
{load_module}
{user}
daemon off;
worker_processes 2;
worker_rlimit_nofile {max_files};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections {max_connections}; }}
http {{
  types {{ image/jpeg jpg; text/html html; }}
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 75;
  keepalive_requests 10000000;
  client_body_temp_path {folder}/tmp-body;
  proxy_temp_path {folder}/tmp-proxy;
  fastcgi_temp_path {folder}/tmp-fastcgi;
  scgi_temp_path {folder}/tmp-scgi;
  uwsgi_temp_path {folder}/tmp-uwsgi;
  map $status $is_failure {{ ~^5 1; default 0; }}
  log_not_found off;
  access_log {folder}/failures.log combined if=$is_failure;
  root {photos};
  {http}
  # every url has a path of its own, /000017/photo_000003.jpg, that leads to one of the files
  {servers}
}}
"""
SERVER = """
  server {{
    {listen}
    rewrite "^/[0-9]+/([a-z]+_[0-9]+\\.[a-z]+)$" /$1 break;
    {rest}
  }}
"""


class ServerError(RuntimeError):
    """A server is missing or does not start; the message says what to do."""


class Nginx(ABC):
    """nginx that serves a folder of photos. Use as a context manager."""

    def __init__(self, folder: Path, photos: str) -> None:
        self.folder = folder
        self.has_latency = echo_module() is not None
        self._photos = photos
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _address(self) -> tuple[str, int]:
        """Return an address that answers when nginx is up."""

    @abstractmethod
    def _servers(self) -> Iterator[str]:
        """Yield the `server` blocks."""

    def _http(self) -> str:
        """Return further lines for the `http` block."""
        return ""

    def _prepare(self) -> None:
        """Write the files that nginx reads into its new folder."""
        (self.folder / "nginx.conf").write_text(self._config())

    def failures(self) -> int:
        """Count the 5xx responses so far."""
        log = self.folder / "failures.log"
        return log.read_bytes().count(b"\n") if log.exists() else 0

    def pids(self) -> list[int]:
        """List the process ids of nginx."""
        if self._process is None:
            return []
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._prepare()
        with (self.folder / "nginx.out").open("wb") as log:
            command = [
                nginx_path(),
                "-p",
                str(self.folder),
                "-c",
                str(self.folder / "nginx.conf"),
                "-e",
                str(self.folder / "error.log"),
            ]
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - there are no threads here
            )
        self._wait_until_up()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait()
            self._process = None

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + 10
        while (
            time.monotonic() < deadline
            and self._process is not None
            and self._process.poll() is None
        ):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(self._address(), 1),
            ):
                return
            time.sleep(0.05)
        said = "\n".join(
            (self.folder / name).read_text()
            for name in ("nginx.out", "error.log")
            if (self.folder / name).exists()
        )
        self.__exit__()
        raise ServerError(f"nginx did not start; it said:\n{said}")

    def _config(self) -> str:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # under latency every request holds a connection and, at its end, a file
        max_files = min(soft, 65536)
        return _MAIN.format(
            load_module=f"load_module {echo_module()};" if self.has_latency else "",
            user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            max_files=max_files,
            max_connections=max_files // 2 - 64,
            folder=self.folder,
            photos=self._photos,
            http=self._http(),
            servers="".join(self._servers()),
        )


def nginx_path() -> str:
    """Find nginx.

    Raises:
        ServerError: it is not installed.
    """
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServerError(
            f"this benchmark needs nginx as its server and did not find it; {INSTALL_HINT}"
        )
    return found


def echo_module() -> str | None:
    """Return the path of the module that delays responses."""
    for folder in (
        "/usr/lib/nginx/modules",
        "/usr/lib64/nginx/modules",
        "/usr/local/lib/nginx/modules",
    ):
        if (path := Path(folder, ECHO_MODULE)).exists():
            return str(path)
    return None


def end_with_parent() -> None:
    """Let the kernel end a server when the benchmark is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
