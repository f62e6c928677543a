"""Distributors run one function over many tasks. A file is a `distributor`; the contract is here.

The work is a picklable function from an iterator of tasks to an iterator of events, so a worker can
overlap the end of a task with the start of the next. An event with an attribute `task` ends that
task; other events, such as progress, are passed on.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

#: events = work(tasks)
Work = Callable[[Iterator[Any]], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class TaskLost:
    """The worker of this task exited before the task was done."""

    task: Any
    reason: str


class Distributor(Protocol):
    """Runs work in several workers at once."""

    def __init__(self, workers: int, *, preload: tuple[str, ...] = ()) -> None:
        """Set up; `preload` names modules to import before workers are forked."""

    def run(self, work: Work, tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield the events of all workers, and a `TaskLost` for each task whose worker exited.

        An exception of the work is raised here once the other workers are stopped. Closing the
        iterator stops them too.
        """
