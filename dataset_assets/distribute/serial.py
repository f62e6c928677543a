"""Runs work in the calling process: for debugging, notebooks, and callers that are workers."""

from collections.abc import Iterable, Iterator
from typing import Any

from dataset_assets.distribute import Ledger, Work


class Distributor:
    """Runs all tasks one after the other."""

    def __init__(self, workers: int = 1, *, preload: tuple[str, ...] = ()) -> None:
        del workers, preload

    def run(self, work: Work, tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield the events of the work, and a `TaskLost` for each task that it left out."""
        ledger = Ledger(tasks)
        for event in work(iter(ledger.take, None)):
            ledger.end(event)
            yield event
        yield from ledger.left()
