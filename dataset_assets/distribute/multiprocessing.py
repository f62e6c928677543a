"""Processes on this machine, forked from a server process that has imported the heavy modules.

A worker asks for its next task once it can take one, so fast workers get more tasks, and the parent
knows the tasks of a worker that exits. Each worker has one pipe. Workers ignore Ctrl-C, since the
parent stops them, and exit by themselves when the parent is gone.
"""

import gc
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from types import ModuleType
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from dataset_assets import processes
from dataset_assets.distribute import Ledger, TaskLost, Work
from dataset_assets.errors import ConfigurationError

# Kinds of messages from a worker.
_NEXT = "next"
_EVENT = "event"
_ERROR = "error"
_DONE = "done"
_STOP_AFTER_S = 5.0
_PATH_TOO_LONG = "AF_UNIX path too long"  # that error of Python has no number
#: Python adds up to 30 characters to the path of its socket, of which Linux takes 107, macOS 103.
_MAX_FOLDER = 70
_OPENBLAS_THREADS = "OPENBLAS_NUM_THREADS"
#: So many workers may exit in a row before they ask for a task; then each exit loses one.
_EARLY_EXITS = 3
#: Workers hold thousands of rows and make few reference cycles: the default costs 8 % of the time.
_GC_THRESHOLD = 50_000, 20, 100


#: The server that forks has died: it is started again, once the system has noticed.
_retrying = Retrying(
    retry=retry_if_exception_type((EOFError, ConnectionError)),
    wait=wait_fixed(0.2),
    stop=stop_after_attempt(10),
    reraise=True,
)


class Distributor:
    """Runs tasks in worker processes."""

    def __init__(self, workers: int = 1, *, preload: tuple[str, ...] = ()) -> None:
        if multiprocessing.current_process().daemon:
            raise ConfigurationError(
                "expected a process that may start others, got a daemonic one (a worker of "
                'multiprocessing.Pool is one); set distributor="serial", or call it elsewhere'
            )
        self._workers = workers
        self._context = _context(preload)

    def run(self, work: Work, tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield the events of all workers, and a `TaskLost` for each task of one that exited."""
        pool = _Pool(self._context, work, Ledger(tasks))
        try:
            pool.start(self._workers)
            while pool.workers:
                for connection in wait(list(pool.workers)):
                    yield from pool.receive(connection)  # type: ignore[arg-type]
            yield from pool.ledger.left()
        finally:
            pool.stop()


@dataclass(slots=True)
class _Worker:
    process: Any
    connection: Connection
    first_task: Any
    """The task for which it was started; None once it has asked for a task."""
    open_tasks: list[Any] = field(default_factory=list)
    is_finished: bool = False


class _Pool:
    """The workers and their tasks, on the side of the parent."""

    def __init__(self, context: BaseContext, work: Work, ledger: Ledger) -> None:
        self._context = context
        self._work = work
        self._early_exits = 0  # in a row
        self.ledger = ledger
        self.workers: dict[Connection, _Worker] = {}

    def start(self, count: int) -> None:
        """Start up to `count` workers, no more than there are tasks left."""
        for _ in range(count):
            task = self.ledger.take()
            if task is None:
                return
            parent_end, worker_end = multiprocessing.Pipe()
            process = self._start_process(worker_end)
            worker_end.close()
            self.workers[parent_end] = _Worker(process, parent_end, task)

    def receive(self, connection: Connection) -> Iterator[Any]:
        """Handle one message of a worker, or its exit."""
        worker = self.workers[connection]
        try:
            kind, value = connection.recv()
        except (EOFError, OSError):  # OSError: it exited in the middle of a message
            yield from self._replace(worker)
            return
        self._early_exits = 0
        if kind == _NEXT:
            self._hand_out(worker)
        elif kind == _EVENT:
            task = self.ledger.end(value)
            if task is not None:
                worker.open_tasks.remove(task)
            yield value
        elif kind == _ERROR:
            raise value
        else:
            worker.is_finished = True

    def _start_process(self, worker_end: Connection) -> Any:
        process = self._context.Process(  # type: ignore[attr-defined]
            target=_run_worker, args=(worker_end, self._work, dict(os.environ)), daemon=True
        )
        with _main_module_hidden():
            _retrying(_start, process)
        return process

    def _hand_out(self, worker: _Worker) -> None:
        task = worker.first_task if worker.first_task is not None else self.ledger.take()
        worker.first_task = None
        if task is not None:
            worker.open_tasks.append(task)
        try:
            worker.connection.send(task)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has exited: the next `receive` sees the end of its pipe

    def _replace(self, worker: _Worker) -> Iterator[TaskLost]:
        """Report the tasks of a worker that exited, and start another one if it was not done."""
        del self.workers[worker.connection]
        worker.connection.close()
        worker.process.join(_STOP_AFTER_S)
        process = worker.process
        reason = f"worker process {process.pid} exited early with exit code {process.exitcode}"
        if worker.first_task is not None and not worker.is_finished:
            self._early_exits += 1
            if self._early_exits <= _EARLY_EXITS:
                self.ledger.give_back(worker.first_task)  # it has not seen the task
            else:
                worker.open_tasks.append(worker.first_task)
        for task in worker.open_tasks:
            lost = TaskLost(task, reason)
            self.ledger.end(lost)
            yield lost
        if not worker.is_finished:
            self.start(1)

    def stop(self) -> None:
        """Stop the workers: terminate them, so that they discard open shards, then kill them."""
        for worker in self.workers.values():
            worker.process.terminate()
        for worker in self.workers.values():
            worker.process.join(_STOP_AFTER_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self.workers.clear()


def _start(process: Any) -> None:
    with _interrupts_held_back():
        process.start()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start processes out of the reach of Ctrl-C; what is pressed meanwhile arrives afterwards.

    A terminal sends SIGINT to all processes in the foreground, and the server that forks ignores it
    only after its imports; a parent that leaves in the middle of a start breaks the new worker.
    Both would be shown as tracebacks. A blocked signal stays blocked in what is started.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # where it starts, it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep new processes from importing the script of the caller.

    They run functions of this package only, and a script without `if __name__ == "__main__"` would
    start its work again in each of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _context(preload: tuple[str, ...]) -> BaseContext:
    """Return a context that forks from a single-threaded server: the parent may have threads."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    # There is a process per core, and idle threads of OpenBLAS spin: the server gets one.
    was_set = _OPENBLAS_THREADS in os.environ
    os.environ.setdefault(_OPENBLAS_THREADS, "1")
    try:
        processes.own_multiprocessing_folder()  # the server has its socket there
        # The server imports while the caller does something else.
        with _interrupts_held_back():
            forkserver.ensure_running()
    except OSError as exc:
        if str(exc) != _PATH_TOO_LONG:
            raise
        raise ConfigurationError(
            f"expected a folder for temporary files with a path of at most {_MAX_FOLDER} characters"
            f" (the socket of the worker processes is in it), got {tempfile.gettempdir()}; set "
            'TMPDIR to a shorter one, or distributor="serial"'
        ) from exc
    finally:
        if not was_set:
            del os.environ[_OPENBLAS_THREADS]
    return context


def _take_over(environment: dict[str, str]) -> None:
    """Set the environment of the parent: the server has that of the moment when it started."""
    if _OPENBLAS_THREADS in os.environ:
        environment.setdefault(_OPENBLAS_THREADS, os.environ[_OPENBLAS_THREADS])
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


def _run_worker(connection: Connection, work: Work, environment: dict[str, str]) -> None:
    """Run the work in a worker process, and send its events to the parent."""
    _take_over(environment)
    # What workers share is not garbage, and a collection would copy its pages.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds: open files are discarded
    processes.exit_with_parent(grace_s=_STOP_AFTER_S)
    lock = threading.Lock()  # a thread asks for tasks while another sends events

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
        return  # the parent is gone
    except Exception as exc:  # noqa: BLE001 - passed on to the parent, which raises it
        # The parent stops its workers then. This one unwinds already: an exit in the middle of what
        # it closes would be shown as a traceback, and would leave the rest open.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        send(_ERROR, exc)
