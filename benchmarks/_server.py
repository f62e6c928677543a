"""A local nginx that serves the image set.

Origins: plain, over TLS, slow to respond, closing every connection, and with many addresses. Here:
their addresses, ports and certificates. Not here: starting and stopping (`_nginx`).
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from _nginx import SERVER, Nginx, ServerError

LATENCY_S = 0.4
HOSTS = 200  # addresses 127.0.1.1 ... of the origin "hosts"
FIRST_PORT = 18080  # below the range that the kernel hands out to clients
ORIGINS = ("http", "https", "latency", "closing", "hosts")


class PhotoServer(Nginx):
    """nginx on loopback ports of its own. Use as a context manager."""

    def __init__(self, folder: Path, photos: str) -> None:
        super().__init__(folder, photos)
        # certificates for clients: the usual authorities, and that of this server
        self.bundle = str(folder / "trusted.pem")
        self._ports = dict(zip(ORIGINS, _free_ports(len(ORIGINS)), strict=True))

    def origins(self, name: str) -> list[str]:
        """List scheme://host:port of an origin in ORIGINS."""
        scheme = "https" if name in ("https", "closing") else "http"
        hosts = [f"127.0.1.{n}" for n in range(1, HOSTS + 1)] if name == "hosts" else ["127.0.0.1"]
        return [f"{scheme}://{host}:{self._ports[name]}" for host in hosts]

    def _address(self) -> tuple[str, int]:
        return "127.0.0.1", self._ports["http"]

    def _prepare(self) -> None:
        super()._prepare()
        _write_certificates(self.folder)

    def _http(self) -> str:
        return (
            f"ssl_certificate {self.folder}/server.pem;\n"
            f"  ssl_certificate_key {self.folder}/server.key;"
        )

    def _servers(self) -> Iterator[str]:
        ports = self._ports
        yield SERVER.format(listen=f"listen 127.0.0.1:{ports['http']} backlog=4096;", rest="")
        yield SERVER.format(listen=f"listen 127.0.0.1:{ports['https']} ssl backlog=4096;", rest="")
        yield SERVER.format(
            listen=f"listen 127.0.0.1:{ports['closing']} ssl backlog=4096;",
            rest="keepalive_timeout 0;",
        )
        yield SERVER.format(
            listen=" ".join(f"listen 127.0.1.{n}:{ports['hosts']};" for n in range(1, HOSTS + 1)),
            rest="",
        )
        if self.has_latency:
            slow = f"location / {{ echo_sleep {LATENCY_S}; echo_exec @file; }} location @file {{ }}"
            yield SERVER.format(
                listen=f"listen 127.0.0.1:{ports['latency']} backlog=4096;", rest=slow
            )


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
