"""Everything in the calling process: for debugging, notebooks, and callers that are workers themselves."""

from collections.abc import Iterable, Iterator
from typing import Any

from dataset_assets.distribute import Work


class Distributor:
    """See `_base.Distributor`."""

    def __init__(self, workers: int = 1, *, preload: tuple[str, ...] = ()) -> None:
        del workers, preload  # one place, and it has imported everything

    def run(self, work: Work, tasks: Iterable[Any]) -> Iterator[Any]:
        """See `_base.Distributor`."""
        yield from work(iter(tasks))
