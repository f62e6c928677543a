"""Failures in a row of one download: how long to wait after each, and when it is enough. No requests are made here."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime

from dataset_assets.errors import SourceError


class Interrupted(Exception):
    """A request failed in a way that trying again may help. Never leaves this folder."""

    def __init__(self, why: str, retry_after: str | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after  # the header


class Attempts:
    """Counts failures since the last progress, and waits after each: twice as long every time, or as long as the server asks."""

    def __init__(
        self,
        retries: int,
        backoff_s: tuple[float, float],
        max_retry_after_s: float,
        *,
        times: tuple[Callable[[float], None], Callable[[], float]],
    ) -> None:
        self._retries, self._max_retry_after_s = retries, max_retry_after_s
        self._first_s, self._longest_s = backoff_s
        self._sleep, self._wall_clock = times
        self._failures = 0

    def failed(self, exc: Interrupted) -> None:
        """Wait before the next attempt.

        Raises:
            SourceError: it was the last, or the server asks for more patience than is allowed.
        """
        self._failures += 1
        asked_s = (
            retry_after_s(exc.retry_after.encode("latin-1", "replace"), self._wall_clock)
            if exc.retry_after
            else None
        ) or 0.0
        if self._failures > self._retries:
            raise SourceError(
                f"{exc}; gave up after {self._failures} attempts without progress: run again when the server and the network are well"
            ) from exc
        if asked_s > self._max_retry_after_s:
            raise SourceError(
                f"{exc}; the server asks to wait {asked_s:,.0f} s, longer than {self._max_retry_after_s:,.0f} s: run again later"
            ) from exc
        self._sleep(max(asked_s, min(self._longest_s, self._first_s * 2.0 ** (self._failures - 1))))

    def succeeded(self) -> None:
        """Forget the failures so far."""
        self._failures = 0


def retry_after_s(value: bytes, wall_clock: Callable[[], float]) -> float | None:
    """Read a Retry-After header: seconds, or a date. None: there is none, or it says nothing."""
    text = value.decode("latin-1")
    if text.isdecimal():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall_clock())
    except (ValueError, OverflowError):
        return None
