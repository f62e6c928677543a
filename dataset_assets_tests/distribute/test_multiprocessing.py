"""Worker processes: lost tasks are reported, and no process is left running."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from dataset_assets import registry
from dataset_assets.distribute import TaskLost
from dataset_assets_tests.distribute.work import (
    Big,
    DieAtBirthOnce,
    Done,
    die_at_birth,
    die_in_a_message,
    die_on_three,
    slow,
    square,
)


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


@pytest.mark.parametrize(("tasks", "workers"), [(1, 1), (3, 1), (4, 2), (9, 2)])
def test_every_task_is_lost_when_all_workers_exit_before_they_ask(tasks, workers):
    events = list(
        registry.load("distributor", "multiprocessing")(workers).run(die_at_birth, range(tasks))
    )
    assert sorted(event.task for event in events) == list(range(tasks))
    assert all(isinstance(event, TaskLost) for event in events)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("tasks", "workers"), [(1, 1), (3, 1), (4, 2), (2, 2)])
def test_every_task_is_done_when_one_worker_exits_before_it_asks(tmp_path, tasks, workers):
    distributor = registry.load("distributor", "multiprocessing")(workers)
    events = list(distributor.run(DieAtBirthOnce(str(tmp_path)), range(tasks)))
    done = [event.task for event in events if isinstance(event, Done)]
    assert sorted(done) == list(range(tasks))
    assert not any(isinstance(event, TaskLost) for event in events)


def test_a_worker_killed_in_a_message_loses_only_its_tasks():
    events = registry.load("distributor", "multiprocessing")(1).run(die_in_a_message, range(6))
    seen = []
    for event in events:
        seen.append(event)
        if event == "begun":
            time.sleep(1.5)  # the worker fills the pipe and is killed meanwhile
    assert not any(isinstance(event, Big) for event in seen)
    assert [event.task for event in seen if isinstance(event, TaskLost)] == [3]
    assert [event.task for event in seen if isinstance(event, Done)] == [0, 1, 2, 4, 5]


def test_work_is_done_when_the_server_that_forks_is_killed():
    distributor = registry.load("distributor", "multiprocessing")(2)
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    first = list(distributor.run(square, range(6)))
    killed = []
    second = []
    for event in distributor.run(die_on_three, range(8)):
        second.append(event)
        if not killed:
            killed.append(forkserver._forkserver._forkserver_pid)
            os.kill(killed[0], signal.SIGKILL)
    assert sorted(event.task for event in first if isinstance(event, Done)) == list(range(6))
    ended = [event.task for event in second if isinstance(event, Done | TaskLost)]
    assert sorted(ended) == list(range(8))
    assert len([event for event in second if isinstance(event, TaskLost)]) <= 2


def variables(tasks):
    for _ in tasks:
        yield os.environ.get("SET_AFTER_THE_FIRST_RUN"), "UNSET_AFTER_THE_FIRST_RUN" in os.environ


def test_workers_have_the_environment_of_now_and_not_of_the_first_run(monkeypatch):
    monkeypatch.setenv("UNSET_AFTER_THE_FIRST_RUN", "1")
    run = registry.load("distributor", "multiprocessing")(1).run
    assert next(iter(run(variables, [0]))) == (None, True)
    monkeypatch.setenv("SET_AFTER_THE_FIRST_RUN", "a")
    monkeypatch.delenv("UNSET_AFTER_THE_FIRST_RUN")
    assert next(iter(run(variables, [0]))) == ("a", False)


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


def script_of(work: str) -> str:
    """Of a run that says when the server has been started, and which error ended it."""
    return (
        "import signal\n"
        "from dataset_assets import registry\n"
        f"from dataset_assets_tests.distribute.work import {work}\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "preload = ('dataset_assets.images.codec',)\n"
        "try:\n"
        "    distributor = registry.load('distributor', 'multiprocessing')(2, preload=preload)\n"
        "    print('started', flush=True)\n"
        f"    list(distributor.run({work}, range(9)))\n"
        "except BaseException as exc:\n"
        "    print(type(exc).__name__)\n"
    )


def test_workers_show_no_traceback_when_one_fails_and_closes_slowly():
    script = script_of("full_disk_while_threads_work")
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert (shown.stdout.split(), shown.stderr) == (["started", "DiskFull"], "")


@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.5])
def test_no_process_shows_a_traceback_when_interrupted_while_the_server_starts(after_s):
    """As a terminal does it: every process of the group gets the signal."""
    with subprocess.Popen(
        [sys.executable, "-c", script_of("slow")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout.readline() == "started\n"
        time.sleep(after_s)
        os.killpg(run.pid, signal.SIGINT)
        out, shown = run.communicate(timeout=60)
    assert (out.split(), shown) == (["KeyboardInterrupt"], "")
