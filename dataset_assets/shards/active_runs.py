"""Which runs are at work in a folder: one object per run, named after its process.

A run removes what earlier runs left behind when they were killed, but nothing that a live run may
still use.
"""

import os
import platform
from typing import Self
from uuid import uuid4

from dataset_assets.storage.abandoned import ABANDONED_S, folder_ages
from dataset_assets.storage.store import Store

_HOST = platform.node()
_STARTED = "started"


def run_name() -> str:
    """Return a unique name for a run of this process."""
    return f"{_HOST}-{os.getpid()}-{uuid4().hex}"


def has_exited(name: str) -> bool:
    """Tell whether a `run_name` belongs to a process of this machine that has exited."""
    host, _, pid = name.rpartition("-")[0].rpartition("-")
    if host != _HOST or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # the process exists and belongs to another user
    return False


def dead_runs(store: Store, folder: str) -> tuple[list[str], list[str]]:
    """Return the paths of the run folders of dead runs, and those of the others.

    A run is dead when its process has exited, or when it has written nothing for `ABANDONED_S`.
    """
    dead: list[str] = []
    others: list[str] = []
    for name, age_s in folder_ages(store, folder).items():
        is_dead = age_s > ABANDONED_S or has_exited(name)
        (dead if is_dead else others).append(f"{folder}/{name}")
    return dead, others


class ActiveRun:
    """Registers this run in a folder while it is entered, and sweeps what dead runs left."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._path = f"{folder}/{run_name()}"

    def __enter__(self) -> Self:
        dead, others = dead_runs(self._store, self._folder)
        for path in dead:
            self._store.delete_tree(path)
        # Uncommitted objects have no owner: while another run is active, only old ones are deleted.
        self._store.sweep(older_than_s=ABANDONED_S if others else 0.0)
        self._store.write(f"{self._path}/{_STARTED}", b"", durable=False)
        return self

    def __exit__(self, *exc: object) -> None:
        self._store.delete_tree(self._path)
