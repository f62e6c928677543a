"""Distributors run one function over many tasks. A file is a `distributor`; the contract is here.

The work is a picklable function from an iterator of tasks to an iterator of events, so a worker can
overlap the end of a task with the start of the next. An event with an attribute `task` ends that
task; other events, such as progress, are passed on.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

#: events = work(tasks)
Work = Callable[[Iterator[Any]], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class TaskLost:
    """A task that nobody has done, and nobody will."""

    task: Any
    reason: str


class Distributor(Protocol):
    """Runs work in several workers at once."""

    def __init__(self, workers: int, *, preload: tuple[str, ...] = ()) -> None:
        """Set up; `preload` names modules to import before workers are forked."""

    def run(self, work: Work, tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield the events of all workers; every task ends by its event or by a `TaskLost`.

        A task is lost when its worker exited, or when the work ended without it. An exception of
        the work is raised here once the other workers are stopped. Closing the iterator stops them
        too.
        """


class Ledger:
    """The tasks of a run: which are handed out, and which nobody has done at the end."""

    def __init__(self, tasks: Iterable[Any]) -> None:
        self._tasks = iter(tasks)
        self._returned: deque[Any] = deque()
        self._open: list[Any] = []

    def take(self, default: Any = None) -> Any:
        """Return the next task to hand out, or `default` when all have been."""
        task = self._returned.popleft() if self._returned else next(self._tasks, default)
        if task is not default:
            self._open.append(task)
        return task

    def give_back(self, task: Any) -> None:
        """Return a task that nobody has begun: the next `take` hands it out."""
        self._open.remove(task)
        self._returned.append(task)

    def end(self, event: Any) -> Any:
        """Note the task that an event ends, if it ends one, and return that task."""
        task = getattr(event, "task", None)
        if task is not None:
            self._open.remove(task)
        return task

    def left(self) -> Iterator[TaskLost]:
        """Report every task that was not done, once no work runs any more."""
        for task in (*self._open, *self._returned, *self._tasks):
            yield TaskLost(task, "all workers ended without it")
