"""Processes on this machine, forked from a server process that has the heavy modules imported already.

A worker asks for its next task when it has room for one, so tasks go where work gets done, and the parent always knows which tasks a dead worker had.
Messages travel over one pipe per worker. Workers ignore Ctrl-C (the parent stops them) and end by themselves when the parent is gone.
"""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from types import ModuleType
from typing import Any

from dataset_assets.distribute import TaskLost, Work

_NEXT, _EVENT, _ERROR, _DONE = "next", "event", "error", "done"
_STOP_AFTER_S = 5.0
#: Workers hold thousands of rows and make hardly any garbage that counting references does not find: Python's thresholds cost 8 % of their time.
_GC_THRESHOLD = 50_000, 20, 100


class Distributor:
    """See `_base.Distributor`."""

    def __init__(self, workers: int = 1, *, preload: tuple[str, ...] = ()) -> None:
        self._workers = workers
        self._context = _context(preload)

    def run(self, work: Work, tasks: Iterable[Any]) -> Iterator[Any]:
        """See `_base.Distributor`."""
        pool = _Pool(self._context, work, iter(tasks))
        try:
            pool.start(self._workers)
            while pool.workers:
                for connection in wait(list(pool.workers)):
                    yield from pool.receive(connection)  # type: ignore[arg-type]
        finally:
            pool.stop()


@dataclass(slots=True)
class _Worker:
    process: Any
    connection: Connection
    open_tasks: list[Any] = field(default_factory=list)
    is_finished: bool = False


class _Pool:
    """The parent's side: who works on what."""

    def __init__(self, context: BaseContext, work: Work, tasks: Iterator[Any]) -> None:
        self._context, self._work, self._tasks = context, work, tasks
        self._next: list[Any] = []
        self.workers: dict[Connection, _Worker] = {}

    def start(self, count: int) -> None:
        """Start up to `count` workers, no more than there are tasks left."""
        for _ in range(count):
            task = next(self._tasks, None)
            if task is None:
                return
            self._next.append(task)
            ours, theirs = multiprocessing.Pipe()
            process = self._context.Process(target=_serve, args=(theirs, self._work), daemon=True)  # type: ignore[attr-defined]
            with _hidden_main():
                process.start()
            theirs.close()
            self.workers[ours] = _Worker(process, ours)

    def receive(self, connection: Connection) -> Iterator[Any]:
        """Handle one message of a worker, or its death."""
        worker = self.workers[connection]
        try:
            kind, value = connection.recv()
        except (EOFError, ConnectionResetError):
            yield from self._bury(worker)
            return
        if kind == _NEXT:
            self._hand_out(worker)
        elif kind == _EVENT:
            task = getattr(value, "task", None)
            if task is not None:
                worker.open_tasks.remove(task)
            yield value
        elif kind == _ERROR:
            raise value
        else:
            worker.is_finished = True

    def _hand_out(self, worker: _Worker) -> None:
        task = self._next.pop() if self._next else next(self._tasks, None)
        if task is not None:
            worker.open_tasks.append(task)
        try:
            worker.connection.send(task)
        except (BrokenPipeError, ConnectionResetError):
            return  # it died meanwhile: the next receive sees the end of its pipe and reports the task

    def _bury(self, worker: _Worker) -> Iterator[TaskLost]:
        del self.workers[worker.connection]
        worker.connection.close()
        worker.process.join(_STOP_AFTER_S)
        reason = f"worker process {worker.process.pid} ended unexpectedly with exit code {worker.process.exitcode}"
        for task in worker.open_tasks:
            yield TaskLost(task, reason)
        if not worker.is_finished:
            self.start(1)

    def stop(self) -> None:
        """End what still runs: politely first, so that open shards are discarded."""
        for worker in self.workers.values():
            worker.process.terminate()
        for worker in self.workers.values():
            worker.process.join(_STOP_AFTER_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self.workers.clear()


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep new processes from importing the caller's script.

    They run functions of this package only, and a script without an `if __name__ == "__main__"` guard would start its work again in each of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for a process that is started meanwhile, unless it is set."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _context(preload: tuple[str, ...]) -> BaseContext:
    """Fork from a clean single-threaded server where the platform can; the parent itself may have threads."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with _environment(
        "OPENBLAS_NUM_THREADS", "1"
    ):  # of numpy: there is a process per core, and threads that wait for work spin
        forkserver.ensure_running()  # it imports while the caller does something else
    return context


def _serve(connection: Connection, work: Work) -> None:
    """Run the work in a worker process: the child's side of `_Pool`."""
    gc.freeze()  # what all workers share: never garbage, and a look through it would copy its pages
    gc.set_threshold(*_GC_THRESHOLD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, so open files are discarded
    lock = threading.Lock()  # tasks are asked for on another thread than events are sent from

    def send(kind: str, value: Any = None) -> None:
        with lock:
            connection.send((kind, value))

    def tasks() -> Iterator[Any]:
        while True:
            send(_NEXT)
            try:
                task = connection.recv()
            except (EOFError, ConnectionResetError):
                return  # the parent is gone
            if task is None:
                return
            yield task

    try:
        for event in work(tasks()):
            send(_EVENT, event)
        send(_DONE)
    except (BrokenPipeError, ConnectionResetError):
        return  # the parent is gone: nobody to tell
    except Exception as exc:  # noqa: BLE001 - passed on to the parent, which raises it
        send(_ERROR, exc)
