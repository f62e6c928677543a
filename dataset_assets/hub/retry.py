"""Retries of calls to the Hub: which failures are transient, and how long to wait.

`huggingface_hub` retries the transfer of files and the reading of lists. It does not retry creating
a repository, reading its head and committing; those calls are retried here. Failures that a person
has to fix (400, 401, 403, 404) are never retried.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.http import TRANSIENT_STATUSES

_Result = TypeVar("_Result")

_RESET = re.compile(r";\s*t=(\d+)")
# The Xet library reports the status in the text of its error only.
_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOptions:
    """How often to retry, and how long to wait between attempts.

    Raises:
        ConfigurationError: a value is out of range.
    """

    attempts: int = 5
    """Calls before giving up, the first included."""
    first_delay_s: float = 1.0
    """Seconds before the second attempt. Doubles with every further one, plus up to a quarter."""
    max_delay_s: float = 60.0
    """Longest delay in seconds, also when the server asks for more."""
    sleep: Callable[[float], None] = time.sleep
    """Waits for a number of seconds."""
    jitter: Callable[[], float] = random.random
    """Returns a number in [0, 1) for the jitter."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_delay_s < 0 or self.max_delay_s < self.first_delay_s:
            raise ConfigurationError(
                "retry: expected attempts of at least 1 and 0 <= first_delay_s <= max_delay_s, "
                f"got attempts={self.attempts}, first_delay_s={self.first_delay_s}, "
                f"max_delay_s={self.max_delay_s}"
            )

    def limited(self, attempts: int) -> Self:
        """Return these options with at most `attempts`, for calls that the client retries."""
        return replace(self, attempts=min(attempts, self.attempts))

    def delay_s(self, failures: int, exc: BaseException | None) -> float:
        """Return the seconds to wait after a number of failures; at least what the server asks."""
        delay_s = min(self.max_delay_s, self.first_delay_s * 2.0 ** (failures - 1))
        asked_s = 0.0 if exc is None else asked_delay_s(exc)
        return min(self.max_delay_s, max(delay_s * (1 + self.jitter() / 4), asked_s))


def call_with_retry(
    call: Callable[[], _Result],
    options: RetryOptions,
    is_retryable: Callable[[BaseException], bool] | None = None,
) -> _Result:
    """Call until it succeeds, fails permanently, or runs out of attempts.

    The last failure is raised unchanged. Without `is_retryable`, transient failures of the Hub are
    retried.
    """

    def delay_s(state: RetryCallState) -> float:
        outcome = state.outcome
        return options.delay_s(state.attempt_number, outcome.exception() if outcome else None)

    retrying = Retrying(
        sleep=options.sleep,
        stop=stop_after_attempt(options.attempts),
        wait=delay_s,
        retry=retry_if_exception(is_retryable or _is_transient_failure),
        reraise=True,
    )
    return retrying(call)


def failures() -> tuple[type[Exception], ...]:
    """Return what the Hub client raises: its own errors, network errors, and those of Xet."""
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    return (httpx.HTTPError, OSError, RuntimeError, ValueError)


def is_transient(exc: BaseException) -> bool:
    """Tell whether the same call may succeed later."""
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    if isinstance(exc, OfflineModeIsEnabled):
        return False
    status = status_of(exc)
    if status is not None:
        return status in TRANSIENT_STATUSES
    network_errors = (httpx.TransportError, ConnectionError, TimeoutError)
    return any(isinstance(cause, network_errors) for cause in causes(exc))


def status_of(exc: BaseException) -> int | None:
    """Return the HTTP status behind an error, or None when there was no response."""
    response = _response_of(exc)
    if response is not None:
        return int(response.status_code)
    found = _XET_STATUS.search(str(exc)) if isinstance(exc, ConnectionError) else None
    return int(found[1]) if found else None


def asked_delay_s(exc: BaseException) -> float:
    """Return the seconds that the server asks to wait, or 0.

    It asks with `Retry-After`, or after a 429 with the `t` of `RateLimit`.
    """
    response = _response_of(exc)
    if response is None:
        return 0.0
    after = response.headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    if response.status_code != 429:
        return 0.0
    reset = _RESET.search(response.headers.get("ratelimit", ""))
    return float(reset[1]) + 1 if reset else 0.0


def causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an error and the chain of errors that caused it."""
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _is_transient_failure(exc: BaseException) -> bool:
    return isinstance(exc, failures()) and is_transient(exc)


def _response_of(exc: BaseException) -> Any:
    responses = (getattr(cause, "response", None) for cause in causes(exc))
    return next((response for response in responses if response is not None), None)
