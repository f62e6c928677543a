"""A remote store for tests: a folder, and a log of the requests of all processes."""

import time
from pathlib import Path

from dataset_assets.storage.stores import local


class RemoteStore:
    """Objects of a folder. Each request is a line in `log`, and takes `latency_s`."""

    def __init__(self, folder, log, *, latency_s=0.0) -> None:
        self._store = local.Store(str(folder))
        self._log = Path(log)
        self._latency_s = latency_s
        self.url = f"remote://{Path(folder).name}"

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._store, name)

    def locate(self, key: str) -> str:
        return f"{self.url}/{key}"

    def read(self, key, start=0, length=None):
        self._log_request(f"read {key}")
        return self._store.read(key, start, length)

    def open_read(self, key):
        self._log_request(f"open {key}")
        return self._store.open_read(key)

    def list(self, prefix="", *, recursive=True):
        self._log_request("list")
        return self._store.list(prefix, recursive=recursive)

    def requests(self, kind=""):
        """Return the lines of the log that start with `kind`."""
        if not self._log.exists():
            return []
        return [line for line in self._log.read_text().splitlines() if line.startswith(kind)]

    def _log_request(self, line: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{line}\n")
        time.sleep(self._latency_s)
