"""The contract of a distributor.

The work is a picklable function from an iterator of tasks to an iterator of events, so a worker may overlap the end of one task with the start of
the next. An event with a `task` attribute ends that task; any other event (progress) is passed on.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

#: events = work(tasks)
Work = Callable[[Iterator[Any]], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class TaskLost:
    """The worker that had this task died before it was done."""

    task: Any
    reason: str


class Distributor(Protocol):
    """Runs work in `workers` places at once."""

    def __init__(self, workers: int, *, preload: tuple[str, ...] = ()) -> None:
        """Set up; `preload` names modules to import once, before workers are forked from that process."""

    def run(self, work: Work, tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield the events of all workers, and a `TaskLost` for each task whose worker died.

        An exception that the work raises is raised here, after the other workers were stopped. Closing the iterator stops them too.
        """
