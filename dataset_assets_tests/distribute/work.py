"""Functions that workers run: each yields a `Done` per task."""

import os
import signal
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


def slow(tasks: Iterator[int]) -> Iterator[object]:
    for task in tasks:
        yield Done(task, os.getpid())
        time.sleep(60)
