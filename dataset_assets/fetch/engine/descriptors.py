"""How many sockets this process may open: the limit on open files, divided up."""

import os
import sys
from contextlib import suppress
from typing import NamedTuple

if sys.platform != "win32":
    import resource

MAX_LOOKUPS = 128
#: More sockets, for new hosts that take long to answer.
MAX_EXTRA = 256
_SPARE = 16  # files that the rest of the program may open meanwhile


class Budget(NamedTuple):
    """File descriptors for one fetcher."""

    connections: int
    lookups: int
    extra: int


def budget(wanted_connections: int) -> Budget:
    """Raise the limit on open files if needed and allowed, and divide what is available."""
    opened = _open_now()
    limit = _limit(wanted_connections + MAX_LOOKUPS + MAX_EXTRA + opened + 4 * _SPARE)
    available = limit - opened - _SPARE
    lookups = max(1, min(MAX_LOOKUPS, available // 3))
    connections = max(1, min(wanted_connections, available - lookups))
    extra = max(0, min(MAX_EXTRA, available - lookups - connections))
    return Budget(connections, lookups, extra)


def _limit(needed: int) -> int:
    if sys.platform == "win32":
        return needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(ValueError, OSError):  # some systems refuse what they report as allowed
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        return raised
    return soft


def _open_now() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 32
