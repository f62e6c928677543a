"""How many sockets this process may open."""

import os
import sys
from contextlib import suppress
from typing import NamedTuple

if sys.platform != "win32":
    import resource

MAX_LOOKUPS = 128
_SPARE = 16  # files that the rest of the program opens meanwhile


class Budget(NamedTuple):
    """Descriptors for one fetcher."""

    connections: int
    lookups: int


def budget(wanted_connections: int) -> Budget:
    """Raise the limit of open files as far as needed and allowed, and fit in what there is."""
    available = (
        _limit(wanted_connections + MAX_LOOKUPS + _open_now() + 4 * _SPARE) - _open_now() - _SPARE
    )
    lookups = max(1, min(MAX_LOOKUPS, available // 3))
    return Budget(max(1, min(wanted_connections, available - lookups)), lookups)


def _limit(needed: int) -> int:
    if sys.platform == "win32":
        return needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(ValueError, OSError):  # some systems refuse what they say is allowed
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        return raised
    return soft


def _open_now() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 32
