"""Again, when a Hub has a bad moment: which failures pass by themselves, and how long to wait for that.

`huggingface_hub` repeats the transfer of files and the reading of lists; it does not repeat creating a repository, asking for its head and
committing, so these are repeated here. Nothing that a person has to mend is ever repeated (400, 401, 403, 404).
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from dataset_assets.errors import ConfigurationError

_Result = TypeVar("_Result")

_RESET = re.compile(r";\s*t=(\d+)")
_XET_STATUS = re.compile(
    r"HTTP status (?:client|server) error \((\d{3})\b"
)  # the Xet library says it in the text only
_PASSING_STATUSES = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOptions:
    """How often, and how long to wait in between: doubled every time, with up to a quarter more by chance.

    Raises:
        ConfigurationError: a value can not work.
    """

    attempts: int = 5
    first_delay_s: float = 1.0
    max_delay_s: float = 60.0  # also the longest wait that a server can ask for
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_delay_s < 0 or self.max_delay_s < self.first_delay_s:
            raise ConfigurationError(
                "retries: expected attempts of at least 1 and 0 <= first_delay_s <= max_delay_s, "
                f"came attempts={self.attempts}, first_delay_s={self.first_delay_s}, max_delay_s={self.max_delay_s}"
            )

    def limited(self, attempts: int) -> Self:
        """Return the same with fewer attempts: for what the client repeats by itself."""
        return replace(self, attempts=min(attempts, self.attempts))

    def wait(self, attempt: int, exc: BaseException | None = None) -> None:
        """Sleep after the failed attempt of this number, counted from 0: as long as the server asked for, if it did."""
        delay_s = min(self.max_delay_s, self.first_delay_s * 2**attempt) * (1 + self.chance() / 4)
        asked_s = asked_delay_s(exc) if exc is not None else 0.0
        self.sleep(min(self.max_delay_s, max(delay_s, asked_s)))


def failures() -> tuple[type[Exception], ...]:
    """Return what the client of the Hub raises. Its own errors, the network's, those of the Xet library and of refused answers."""
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    return (httpx.HTTPError, OSError, RuntimeError, ValueError)


def is_transient(exc: BaseException) -> bool:
    """Tell whether the same call may work in a moment."""
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    if isinstance(exc, OfflineModeIsEnabled):
        return False
    status = status_of(exc)
    if status is not None:
        return status in _PASSING_STATUSES
    return any(
        isinstance(cause, httpx.TransportError | ConnectionError | TimeoutError)
        for cause in causes(exc)
    )


def status_of(exc: BaseException) -> int | None:
    """Return the HTTP status behind an error, or None when no answer came."""
    response = _response_of(exc)
    if response is not None:
        return int(response.status_code)
    said = _XET_STATUS.search(str(exc)) if isinstance(exc, ConnectionError) else None
    return int(said[1]) if said else None


def asked_delay_s(exc: BaseException) -> float:
    """Return how long the server asked to wait, 0 when it did not: `Retry-After`, or after a 429 the `t` of `RateLimit`."""
    response = _response_of(exc)
    if response is None:
        return 0.0
    after = response.headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    reset = (
        _RESET.search(response.headers.get("ratelimit", ""))
        if response.status_code == 429
        else None
    )
    return float(reset[1]) + 1 if reset else 0.0


def call_with_retry(call: Callable[[], _Result], options: RetryOptions) -> _Result:
    """Call until it works, fails for good, or has failed often enough. The last failure is raised as it came."""
    for attempt in range(options.attempts - 1):
        try:
            return call()
        except failures() as exc:
            if not is_transient(exc):
                raise
            options.wait(attempt, exc)
    return call()


def _response_of(exc: BaseException) -> Any:
    return next(
        (
            response
            for cause in causes(exc)
            if (response := getattr(cause, "response", None)) is not None
        ),
        None,
    )


def causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what it was raised from."""
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__
