"""Checks of option values, with one wording: `<option>: expected <what>, got <value>`.

A check returns the value that it accepts, so `__post_init__` of an option class is a list of calls.
Rules about two options belong to the class that has both.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeGuard

from dataset_assets.errors import ConfigurationError


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors name the arguments of a function where an option class has other names.

    Args:
        names: option -> argument.

    Raises:
        ConfigurationError: that of the body, with the name of the argument.
    """
    try:
        yield
    except ConfigurationError as exc:
        option, colon, rest = str(exc).partition(":")
        if option not in names:
            raise
        raise type(exc)(f"{names[option]}{colon}{rest}") from exc.__cause__


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" if a known name is close in any case, else ""."""
    by_lower_case = {each.lower(): each for each in known}
    near = get_close_matches(str(name).lower(), by_lower_case, n=1)
    return f"; did you mean {by_lower_case[near[0]]!r}?" if near else ""


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """Accept one of the known texts.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(value, str) or value not in known:
        hint = did_you_mean(value, known)
        expected = ", ".join(known)
        raise ConfigurationError(f"{name}: expected one of {expected}, got {value!r}{hint}")
    return value


def integer(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """Accept an integer from `low` to `high`, both included; booleans are not integers.

    Raises:
        ConfigurationError: it is something else, or outside the range.
    """
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or not _is_within(value, low, high):
        raise ConfigurationError(f"{name}: expected an integer{_range(low, high)}, got {value!r}")
    return int(value)


def number(
    name: str, value: Any, low: float | None = None, high: float | None = None
) -> int | float:
    """Accept a number from `low` to `high`, both included; NaN and booleans are not numbers.

    Raises:
        ConfigurationError: it is something else, or outside the range.
    """
    if not _is_number(value) or not _is_within(value, low, high):
        raise ConfigurationError(f"{name}: expected a number{_range(low, high)}, got {value!r}")
    return value


def positive(name: str, value: Any) -> int | float:
    """Accept a finite number above 0.

    Raises:
        ConfigurationError: it is something else.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise ConfigurationError(f"{name}: expected a number above 0, got {value!r}")
    return value


def not_negative(name: str, value: Any) -> int | float:
    """Accept a finite number of at least 0.

    Raises:
        ConfigurationError: it is something else.
    """
    if not _is_number(value) or not 0 <= value < math.inf:
        raise ConfigurationError(f"{name}: expected a number of at least 0, got {value!r}")
    return value


def boolean(name: str, value: Any) -> bool:
    """Accept true or false, but not 1 or 0.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: expected true or false, got {value!r}")
    return value


def text(name: str, value: Any) -> str:
    """Accept text that is not empty.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name}: expected text, got {value!r}")
    return value


def texts(name: str, values: Any) -> tuple[str, ...]:
    """Accept a list or tuple of texts; a text is not a list of its letters.

    Raises:
        ConfigurationError: it is something else.
    """
    is_list = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    if not is_list or not all(isinstance(value, str) and value for value in values):
        raise ConfigurationError(f"{name}: expected a list of texts, got {values!r}")
    return tuple(values)


def some_of(
    name: str, values: Any, known: Collection[str], *, at_least: int = 0
) -> tuple[str, ...]:
    """Accept a list of known texts.

    Args:
        name: the option.
        values: its value.
        known: the texts that may be in the list.
        at_least: how many it must have.

    Raises:
        ConfigurationError: it is something else, has an unknown text, or has too few.
    """
    accepted = texts(name, values)
    unknown = [value for value in accepted if value not in known]
    if unknown or len(accepted) < at_least:
        expected = f"some of {', '.join(known)}" if known else "none"
        got = ", ".join(map(repr, unknown)) or "none"
        hint = did_you_mean(unknown[0], known) if unknown else ""
        raise ConfigurationError(f"{name}: expected {expected}, got {got}{hint}")
    return accepted


def _is_number(value: Any) -> TypeGuard[int | float]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and not math.isnan(value)


def _is_within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return "" if high is None else f" of at most {high}"
