"""Says what a run in this process waits for, when the pools of Dagster have no slot for it.

Runs that are killed meanwhile give back their slots.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg

from dataset_assets.orchestration.run_locks import end_dead_runs

#: A shorter wait is not worth a line.
QUIET_S = 10.0
_REPEAT_S = 60.0


@contextmanager
def say_waits(
    instance: dg.DagsterInstance,
    run_id: str,
    say: Callable[[str], object],
    *,
    quiet_s: float = QUIET_S,
) -> Iterator[None]:
    """Say while the block runs, at most once a minute, which slots a run waits for."""
    if not instance.event_log_storage.supports_global_concurrency_limits:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        quiet_until = 0.0
        while not done.wait(quiet_s / 4):
            end_dead_runs(instance)
            if time.monotonic() < quiet_until:
                continue
            for line in _waits(instance, run_id, quiet_s):
                say(line)
                quiet_until = time.monotonic() + _REPEAT_S

    watcher = threading.Thread(target=watch, name="pool-waits", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _waits(instance: dg.DagsterInstance, run_id: str, quiet_s: float) -> Iterator[str]:
    """Return a line for each step of a run that has waited longer than `quiet_s`."""
    storage = instance.event_log_storage
    for pool, info in storage.get_concurrency_infos(sorted(storage.get_concurrency_keys())).items():
        for step in info.pending_steps:
            waited_s = time.time() - step.enqueued_timestamp.timestamp()
            is_next = step.assigned_timestamp is not None
            if step.run_id != run_id or is_next or waited_s < quiet_s:
                continue
            holders = "; ".join(
                _holder(instance, slot.run_id, slot.step_key) for slot in info.claimed_slots
            )
            yield (
                f"{step.step_key} has waited {waited_s:.0f} s for a slot of the pool {pool}, where "
                f"{len(info.claimed_slots)} of {info.slot_count} are taken: {holders or 'none'}. "
                "It starts when one ends; if one has no process any more, cancel its run and free "
                f"its slot in the UI (Deployment, Concurrency, {pool})"
            )


def _holder(instance: dg.DagsterInstance, run_id: str, step_key: str) -> str:
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        return f"{step_key} of a deleted run {run_id}"
    began = record.start_time
    since = (
        f" since {datetime.fromtimestamp(began, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
        if began
        else ""
    )
    return f"{step_key} of run {run_id}, {record.dagster_run.status.value}{since}"
