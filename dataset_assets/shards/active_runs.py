"""Who is at work in a folder: an object for each run, named after its process.

What a run that was killed has left is removed by the next one at once, and never while another one lives.
"""

import os
import platform
import time
from typing import Self
from uuid import uuid4

from dataset_assets.storage.store import Store

_HOST = platform.node()
_STARTED = "started"
_ABANDONED_S = 24 * 3600.0


def run_name() -> str:
    """Return a name for a run of this process that no other has."""
    return f"{_HOST}-{os.getpid()}-{uuid4().hex}"


def is_of_the_dead(name: str) -> bool:
    """Tell whether a `run_name` is that of a process of this machine that does not exist any more."""
    host, _, pid = name.rpartition("-")[0].rpartition("-")
    if host != _HOST or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives, and belongs to somebody else
    return False


class Presence:
    """Stands for this run in a folder while it is entered. What runs have left that are dead, or silent for a day, is swept."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder, self._name = store, folder, f"{folder}/{run_name()}"

    def __enter__(self) -> Self:
        alone = True
        for info in list(self._store.list(f"{self._folder}/")):
            folder = info.key.rpartition("/")[0]
            if (
                is_of_the_dead(folder.rpartition("/")[2])
                or 0 < info.modified < time.time() - _ABANDONED_S
            ):
                self._store.delete_tree(folder)
            else:
                alone = False
        self._store.sweep(older_than_s=0.0 if alone else _ABANDONED_S)
        self._store.write(f"{self._name}/{_STARTED}", b"", durable=False)
        return self

    def __exit__(self, *exc: object) -> None:
        self._store.delete_tree(self._name)
