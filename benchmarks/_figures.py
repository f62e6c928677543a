"""Medians of interleaved runs, and their ratios, as numbers and as text."""

import statistics
from collections.abc import Callable
from typing import Protocol, TypeVar


class _Round(Protocol):
    @property
    def round(self) -> int: ...


T = TypeVar("T", bound=_Round)


def median(runs: list[T], value: Callable[[T], float]) -> float:
    """Return the median of a value of some runs."""
    return statistics.median(map(value, runs))


def spread(runs: list[T], value: Callable[[T], float], digits: int = 0) -> str:
    """Format a median with the range it comes from."""
    values = [value(run) for run in runs]
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} [{min(values):,.{digits}f}-{max(values):,.{digits}f}]"


def ratio(ours: list[T], theirs: list[T], value: Callable[[T], float]) -> tuple[float, str]:
    """Return the ratio of medians, and a text with the range of the ratios of each round."""
    found = median(ours, value) / median(theirs, value)
    by_round = {run.round: value(run) for run in theirs}
    pairs = [value(run) / by_round[run.round] for run in ours if run.round in by_round]
    if len(pairs) > 1:
        return found, f"{found:.2f} [{min(pairs):.2f}-{max(pairs):.2f}]"
    return found, f"{found:.2f}{' (single run)' if len(ours) == 1 else ''}"
