"""OpenStack Swift with its S3 interface, for the slow tests.

It is strict about signatures, checksums and conditions, and keeps its objects.

    with SwiftServer(tmp_path) as server:  # has the methods of `s3_server.MotoServer`

It runs in a virtual environment of its own, created once in the user's cache folder (80 MB from the
package index). It needs no root; its one disk is a folder.
Source: https://docs.openstack.org/swift/latest/development_saio.html
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets_tests.support.s3_server import MotoServer

VERSION = "2.38.3"
_START_S = 60.0
_KINDS = ("account", "container", "object")
_BACKEND = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
log_address = {folder}/no-log
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
log_address = {folder}/no-log
[pipeline:main]
pipeline = catch_errors gatekeeper cache s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:9
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing-secret .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


class SwiftServer(MotoServer):
    """Four processes: proxy, account, container, object."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)

    def __enter__(self) -> Self:
        self._programs = _installed()
        ports = dict(zip(("proxy", *_KINDS), _free_ports(4), strict=True))
        self._write(ports)
        self.url = f"http://127.0.0.1:{ports['proxy']}"
        self.credentials = S3Credentials(
            source="swift",
            endpoint_url=self.url,
            access_key="test:tester",
            secret_key="testing-secret",
        )
        self.start()
        return self

    def start(self) -> None:
        """Start the processes, again after `kill`."""
        self._processes = [self._start(kind) for kind in ("proxy", *_KINDS)]
        self._wait()

    def kill(self) -> None:
        """End them without warning; what is stored stays."""
        for process in self._processes:
            process.kill()
            process.wait()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _write(self, ports: dict[str, int]) -> None:
        (self._folder / "devices" / "d1").mkdir(parents=True)
        (self._folder / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = tests\n"
            "[storage-policy:0]\nname = one\ndefault = yes\n"
        )
        (self._folder / "proxy.conf").write_text(
            _PROXY.format(port=ports["proxy"], folder=self._folder)
        )
        for kind in _KINDS:
            (self._folder / f"{kind}.conf").write_text(
                _BACKEND.format(kind=kind, port=ports[kind], folder=self._folder)
            )
            ring = [self._programs / "swift-ring-builder", self._folder / f"{kind}.builder"]
            for step in (
                ["create", "4", "1", "0"],
                ["add", f"r1z1-127.0.0.1:{ports[kind]}/d1", "1"],
                ["rebalance"],
            ):
                subprocess.run([*ring, *step], check=True, capture_output=True)

    def _start(self, kind: str) -> subprocess.Popen[bytes]:
        command = [
            self._programs / "python",
            self._programs / f"swift-{kind}-server",
            self._folder / f"{kind}.conf",
        ]
        with (self._folder / f"{kind}.log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"SWIFT_DIR": str(self._folder)},
            )

    def _wait(self) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            try:
                self.client().list_buckets()
                return
            except Exception as exc:
                reason = exc
            time.sleep(0.2)
        logs = "\n".join(
            f"{path.name}: {path.read_text()[-1500:]}" for path in self._folder.glob("*.log")
        )
        self.__exit__()
        raise RuntimeError(f"Swift did not start: {reason}\n{logs}")


def _installed() -> Path:
    """Return the folder of Swift's programs; create its virtual environment if there is none."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        / "dataset-assets-tests"
        / f"swift-{VERSION}"
    )
    if not (cache / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", cache], check=True)
        subprocess.run(
            [cache / "bin" / "pip", "install", "--quiet", f"swift=={VERSION}"], check=True
        )
        (cache / "made").touch()
    return cache / "bin"


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports
