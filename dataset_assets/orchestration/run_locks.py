"""Which runs of the graph still have a process.

A process that runs steps locks a file of its run in DAGSTER_HOME; the kernel frees the lock when
the process ends, however it ends. A killed run keeps its status and its slots in the pools of
Dagster, and the default launcher cannot tell that it is dead. Here such runs are ended. Runs
without a file are never judged: those of another DAGSTER_HOME, and those of the executor
`multiprocess`, whose own process runs no step.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import dagster as dg

_FOLDER = "dataset_assets_runs"
_MESSAGE = (
    "The process of this run has exited before the run ended (killed, or out of memory); its slots "
    "in the pools are free again. Committed data is kept: run it again to resume."
)


@contextmanager
def hold_run(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Show that a run has a process, until the block ends or the process does."""
    lock = _lock_file(_folder(instance), run_id)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Free the slots of runs that have ended, and end runs whose process has; return those ids.

    Runs whose process has exited are recorded as canceled, so that no daemon starts them again
    beside the run that asks.
    """
    folder = _folder(instance)
    locks = {path.name: path for path in folder.glob("[!.]*")}
    storage = instance.event_log_storage
    has_pools = storage.supports_global_concurrency_limits
    holders = storage.get_concurrency_run_ids() if has_pools else set()
    dead = []
    for run_id in sorted(holders | locks.keys()):
        lock = locks.get(run_id)
        if lock is not None and not _is_free(lock):
            continue
        run = instance.get_run_by_id(run_id)
        is_over = run is None or run.is_finished
        if not is_over and lock is None:
            continue  # of a process that is not known here
        if run is not None and not is_over:
            instance.report_run_canceled(run, _MESSAGE)
            dead.append(run_id)
        if run_id in holders:
            storage.free_concurrency_slots_for_run(run_id)
        if lock is not None:
            lock.unlink(missing_ok=True)
    return dead


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / _FOLDER


def _lock_file(folder: Path, run_id: str) -> int | None:
    """Lock the file of a run, and return its descriptor; None: the file system has no locks."""
    folder.mkdir(parents=True, exist_ok=True)
    named = folder / run_id
    if named.exists():  # another resource of this run holds it
        return _locked(named, os.O_RDONLY)
    # It gets its name when it is locked: nobody finds it free.
    hidden = folder / f".{uuid4().hex}"
    lock = _locked(hidden, os.O_RDONLY | os.O_CREAT | os.O_EXCL)
    if lock is None:
        hidden.unlink()
    else:
        hidden.rename(named)
    return lock


def _locked(path: Path, flags: int) -> int | None:
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_free(lock: Path) -> bool:
    with suppress(OSError), lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
