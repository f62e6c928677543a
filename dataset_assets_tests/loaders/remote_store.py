"""A store that is not local, for tests: a folder behind a log of requests and faults, the same for all processes that use it."""

import time
from pathlib import Path

from dataset_assets.storage.stores import local


class RemoteStore:
    """Objects of a folder. Every request is a line in `log`; `latency_s` passes before each, and `faults` are for whole objects."""

    def __init__(self, folder, log, *, latency_s=0.0) -> None:
        self._store, self._log, self._latency_s = local.Store(str(folder)), Path(log), latency_s
        self.url = f"remote://{Path(folder).name}"

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._store, name)

    def locate(self, key: str) -> str:
        return f"{self.url}/{key}"

    def read(self, key, start=0, length=None):
        self._note(f"read {key}")
        return self._store.read(key, start, length)

    def open_read(self, key):
        self._note(f"open {key}")
        return self._store.open_read(key)

    def list(self, prefix="", *, recursive=True):
        self._note("list")
        return self._store.list(prefix, recursive=recursive)

    def requests(self, kind=""):
        """Return the lines of the log that start with `kind`."""
        return (
            [line for line in self._log.read_text().splitlines() if line.startswith(kind)]
            if self._log.exists()
            else []
        )

    def _note(self, line: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{line}\n")
        time.sleep(self._latency_s)
