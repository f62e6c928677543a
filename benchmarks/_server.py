"""A local nginx that serves the image set.

Origins: plain, over TLS, slow to respond, closing every connection, and with many addresses. Here:
certificates, configuration, start and stop by pid, and what the server recorded (5xx responses,
CPU). nginx is not the bottleneck: about 20,000 responses a second on one core. It listens on
loopback addresses only.
"""

import contextlib
import ctypes
import getpass
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

LATENCY_S = 0.4
HOSTS = 200  # addresses 127.0.1.1 ... of the origin "hosts"
FIRST_PORT = 18080  # below the range that the kernel hands out to clients
ECHO_MODULE = "ngx_http_echo_module.so"
INSTALL_HINT = "on Debian and Ubuntu: apt-get install nginx-light libnginx-mod-http-echo"
ORIGINS = ("http", "https", "latency", "closing", "hosts")
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
  ssl_certificate {folder}/server.pem;
  ssl_certificate_key {folder}/server.key;
  # every url has a path of its own, /000017/photo_000003.jpg, that leads to one of the files
  {servers}
}}
"""
_SERVER = """
  server {{
    {listen}
    rewrite "^/[0-9]+/([a-z]+_[0-9]+\\.[a-z]+)$" /$1 break;
    {rest}
  }}
"""


class ServerError(RuntimeError):
    """nginx is missing or does not start; the message says what to do."""


class PhotoServer:
    """nginx on loopback ports of its own. Use as a context manager."""

    def __init__(self, folder: Path, photos: str) -> None:
        self.folder = folder
        self.has_latency = _echo_module() is not None
        # certificates for clients: the usual authorities, and that of this server
        self.bundle = str(folder / "trusted.pem")
        self._photos = photos
        self._ports = dict(zip(ORIGINS, _free_ports(len(ORIGINS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None

    def origins(self, name: str) -> list[str]:
        """List scheme://host:port of an origin in ORIGINS."""
        scheme = "https" if name in ("https", "closing") else "http"
        hosts = [f"127.0.1.{n}" for n in range(1, HOSTS + 1)] if name == "hosts" else ["127.0.0.1"]
        return [f"{scheme}://{host}:{self._ports[name]}" for host in hosts]

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

    def __enter__(self) -> "PhotoServer":
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        _write_certificates(self.folder)
        config = self.folder / "nginx.conf"
        config.write_text(self._config())
        with (self.folder / "nginx.out").open("wb") as log:
            command = [
                nginx_path(),
                "-p",
                str(self.folder),
                "-c",
                str(config),
                "-e",
                str(self.folder / "error.log"),
            ]
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - there are no threads here
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
                socket.create_connection(("127.0.0.1", self._ports["http"]), 1),
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
            load_module=f"load_module {_echo_module()};" if self.has_latency else "",
            user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            max_files=max_files,
            max_connections=max_files // 2 - 64,
            folder=self.folder,
            photos=self._photos,
            servers="".join(self._servers()),
        )

    def _servers(self) -> Iterator[str]:
        ports = self._ports
        yield _SERVER.format(listen=f"listen 127.0.0.1:{ports['http']} backlog=4096;", rest="")
        yield _SERVER.format(listen=f"listen 127.0.0.1:{ports['https']} ssl backlog=4096;", rest="")
        yield _SERVER.format(
            listen=f"listen 127.0.0.1:{ports['closing']} ssl backlog=4096;",
            rest="keepalive_timeout 0;",
        )
        yield _SERVER.format(
            listen=" ".join(f"listen 127.0.1.{n}:{ports['hosts']};" for n in range(1, HOSTS + 1)),
            rest="",
        )
        if self.has_latency:
            slow = f"location / {{ echo_sleep {LATENCY_S}; echo_exec @file; }} location @file {{ }}"
            yield _SERVER.format(
                listen=f"listen 127.0.0.1:{ports['latency']} backlog=4096;", rest=slow
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


def _echo_module() -> str | None:
    """Return the path of the module that delays responses."""
    for folder in (
        "/usr/lib/nginx/modules",
        "/usr/lib64/nginx/modules",
        "/usr/local/lib/nginx/modules",
    ):
        if (path := Path(folder, ECHO_MODULE)).exists():
            return str(path)
    return None


def _write_certificates(folder: Path) -> None:
    """Write the certificate of the server, and a bundle with the usual authorities and its own."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(
        b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    )
    usual = ssl.get_default_verify_paths().cafile
    bundle = Path(usual).read_bytes() if usual and Path(usual).exists() else b""
    (folder / "trusted.pem").write_bytes(bundle + b"\n" + authority.cert_pem.bytes())


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in range(FIRST_PORT, FIRST_PORT + 1000):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise ServerError(f"no {count} free ports from {FIRST_PORT} on")


def _end_with_parent() -> None:
    """Let the kernel end nginx when the benchmark is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
