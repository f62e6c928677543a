"""Contract tests of every distributor: all tasks are done once, errors and dead workers are reported, nothing is left running."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataset_assets import registry
from dataset_assets.distribute import TaskLost
from dataset_assets.errors import DiskFull

NAMES = registry.names("distributor")


@dataclass(frozen=True)
class Done:
    task: int
    pid: int


def square(tasks: Iterator[int]) -> Iterator[object]:
    for task in tasks:
        yield "progress"
        yield Done(task, os.getpid())


def overlap(tasks: Iterator[int]) -> Iterator[object]:
    """Two tasks open at a time, ended in the other order."""
    held = []
    for task in tasks:
        held.append(task)
        if len(held) == 2:
            yield from (Done(held.pop(), os.getpid()), Done(held.pop(), os.getpid()))
    yield from (Done(task, os.getpid()) for task in held)


def die_on_three(tasks: Iterator[int]) -> Iterator[object]:
    for task in tasks:
        if task == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield Done(task, os.getpid())


def full_disk(tasks: Iterator[int]) -> Iterator[object]:
    for task in tasks:
        if task == 2:
            raise DiskFull("no space left for x")
        yield Done(task, os.getpid())


def slow(tasks: Iterator[int]) -> Iterator[object]:
    for task in tasks:
        yield Done(task, os.getpid())
        time.sleep(60)


@pytest.mark.parametrize("work", [square, overlap])
@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_done_once(name, work):
    distributor = registry.load("distributor", name)(2)
    done = [event for event in distributor.run(work, range(11)) if isinstance(event, Done)]
    assert sorted(event.task for event in done) == list(range(11))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_happens_when_there_are_no_tasks(name):
    assert list(registry.load("distributor", name)(2).run(square, [])) == []


@pytest.mark.parametrize("name", NAMES)
def test_an_exception_of_the_work_is_raised_to_the_caller(name):
    with pytest.raises(DiskFull, match="no space left for x"):
        list(registry.load("distributor", name)(2).run(full_disk, range(5)))
    assert not multiprocessing.active_children()


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
    assert sorted(event.task for event in events if isinstance(event, Done)) == [
        0,
        1,
        2,
        4,
        5,
        6,
        7,
        8,
        9,
    ]
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
        "from dataset_assets_tests.distribute.test_distributors import Done, square\n"
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
