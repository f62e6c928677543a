"""Functions that workers run: each yields a `Done` per task."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from dataset_assets.errors import DiskFull


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


def full_disk_while_threads_work(tasks: Iterator[int]) -> Iterator[object]:
    """Raise, and close slowly what was open."""
    yield from _with_threads(full_disk(tasks))


def _with_threads(events: Iterator[object]) -> Iterator[object]:
    opened = _slow_to_close()
    next(opened)
    yield from events


def _slow_to_close() -> Iterator[None]:
    try:
        yield
    finally:
        time.sleep(1.0)


def slow(tasks: Iterator[int]) -> Iterator[object]:
    for task in tasks:
        yield Done(task, os.getpid())
        time.sleep(60)


def leave_early(tasks: Iterator[int]) -> Iterator[object]:
    """End after one task, as a generator with a bug does."""
    yield Done(next(tasks), os.getpid())


def die_at_birth(tasks: Iterator[int]) -> Iterator[object]:
    """Exit before the first task is asked for: no memory left, say."""
    os.kill(os.getpid(), signal.SIGKILL)
    yield from map(Done, tasks)


class DieAtBirthOnce:
    """The first worker exits before it asks for a task."""

    def __init__(self, folder: str) -> None:
        self._mark = f"{folder}/born"

    def __call__(self, tasks: Iterator[int]) -> Iterator[object]:
        try:
            os.close(os.open(self._mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return square(tasks)
        return die_at_birth(tasks)


@dataclass(frozen=True)
class Big:
    """An event that a pipe cannot hold at once: the rest waits until the parent reads."""

    payload: bytes


def die_in_a_message(tasks: Iterator[int]) -> Iterator[object]:
    for task in tasks:
        if task == 3:
            yield "begun"
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
            yield Big(bytes(16 << 20))
            time.sleep(60)
        yield Done(task, os.getpid())
