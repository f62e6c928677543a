"""Progress of a long step, as lines of its log. Each line is a row in Dagster's event log."""

import time
from collections.abc import Callable
from logging import Logger

_LOG_EVERY_S = 10.0


def progress_to(
    log: Logger, *, clock: Callable[[], float] = time.monotonic
) -> Callable[[int, int], None]:
    """Return a callback for `(done, total)` samples that logs at most one line in 10 s."""
    next_s = clock() + _LOG_EVERY_S

    def report(done: int, total: int) -> None:
        nonlocal next_s
        if clock() >= next_s:
            next_s = clock() + _LOG_EVERY_S
            log.info("%s of %s samples", f"{done:,}", f"{total:,}")

    return report
