"""Retries of a download from one site: how long to wait after each failure, and when to give up."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from dataset_assets.errors import SourceError
from dataset_assets.fetch.hosts.politeness import retry_after_s

if TYPE_CHECKING:
    from dataset_assets.fetch.session import SessionOptions

_Result = TypeVar("_Result")


class TransientError(Exception):
    """A request failed in a way that a retry can fix. Never leaves this package."""

    def __init__(self, reason: str, retry_after: str | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after  # the header


class Retries:
    """Retries calls that raise `TransientError`, with exponential back-off.

    Failures are counted over all calls since the last `reset`, so a server that sends one byte per
    request cannot prolong a download forever.
    """

    def __init__(
        self,
        options: "SessionOptions",
        *,
        sleep: Callable[[float], None],
        wall_clock: Callable[[], float],
    ) -> None:
        self._options = options
        self._wall_clock = wall_clock
        self._failures = 0
        self._retrying = Retrying(
            sleep=sleep,
            retry=retry_if_exception_type(TransientError),
            after=self._count,
            wait=self._delay_s,
            stop=self._is_last,
            reraise=True,
        )

    def call(self, action: Callable[[], _Result]) -> _Result:
        """Call until it succeeds.

        Raises:
            SourceError: it failed too often, or the server asks to wait longer than is allowed.
        """
        try:
            return self._retrying(action)
        except TransientError as exc:
            asked_s = self._asked_s(exc)
            longest_s = self._options.max_retry_after_s
            if self._failures <= self._options.retries:
                raise SourceError(
                    f"{exc}; the server asks to wait {asked_s:,.0f} s, longer than "
                    f"{longest_s:,.0f} s; run again later"
                ) from exc
            raise SourceError(
                f"{exc}; gave up after {self._failures} attempts without progress; retry once the "
                "server is reachable"
            ) from exc

    def reset(self) -> None:
        """Forget the failures so far: there was progress."""
        self._failures = 0

    def _count(self, state: RetryCallState) -> None:
        del state
        self._failures += 1

    def _is_last(self, state: RetryCallState) -> bool:
        is_too_long = self._asked_s(_failure_of(state)) > self._options.max_retry_after_s
        return is_too_long or self._failures > self._options.retries

    def _delay_s(self, state: RetryCallState) -> float:
        doublings = min(self._failures - 1, 60)  # no overflow, whatever `retries` is
        delay_s = self._options.backoff_s * 2.0**doublings
        return max(self._asked_s(_failure_of(state)), min(self._options.max_backoff_s, delay_s))

    def _asked_s(self, exc: BaseException | None) -> float:
        """Return the seconds that the server asks to wait, or 0."""
        header = exc.retry_after if isinstance(exc, TransientError) else None
        if not header:
            return 0.0
        return retry_after_s(header.encode("latin-1", "replace"), self._wall_clock) or 0.0


def _failure_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
