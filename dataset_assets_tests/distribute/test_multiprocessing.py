"""Worker processes: lost tasks are reported, and no process is left running."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

from dataset_assets import registry
from dataset_assets.distribute import TaskLost
from dataset_assets_tests.distribute.work import Done, die_on_three, slow, square


def test_work_is_shared_by_processes():
    distributor = registry.load("distributor", "multiprocessing")(2)
    pids = {event.pid for event in distributor.run(square, range(40)) if isinstance(event, Done)}
    assert os.getpid() not in pids


def test_a_killed_worker_loses_only_its_tasks():
    distributor = registry.load("distributor", "multiprocessing")(2)
    events = list(distributor.run(die_on_three, range(10)))
    lost = [event for event in events if isinstance(event, TaskLost)]
    assert [event.task for event in lost] == [3]
    assert "exit code -9" in lost[0].reason
    done = [event.task for event in events if isinstance(event, Done)]
    assert sorted(done) == [0, 1, 2, *range(4, 10)]
    assert not multiprocessing.active_children()


def test_workers_end_when_the_caller_stops_listening():
    events = registry.load("distributor", "multiprocessing")(2).run(slow, range(4))
    next(events)
    started = time.monotonic()
    events.close()
    assert time.monotonic() - started < 10
    assert not multiprocessing.active_children()


def test_a_script_without_a_guard_is_not_run_again_in_the_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "print('top')\n"
        "from dataset_assets import registry\n"
        "from dataset_assets_tests.distribute.work import Done, square\n"
        "done = registry.load('distributor', 'multiprocessing')(2).run(square, range(4))\n"
        "print(sum(isinstance(event, Done) for event in done))\n"
    )
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert shown.stdout.split() == ["top", "4"]
