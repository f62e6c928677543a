"""Finds folders that killed runs left behind: those without a write for a long time.

Callers decide whose folders they are, and delete them.
"""

import time

from dataset_assets.storage.store import Store

#: Seconds without a write after which a run counts as dead.
ABANDONED_S = 24 * 3600.0


def folder_ages(store: Store, prefix: str, *, now_s: float | None = None) -> dict[str, float]:
    """Return the folders right below a prefix, with the seconds since the last write to each.

    Where a store does not record times, folders have age 0 and are never abandoned.

    Args:
        store: where to look.
        prefix: the folder that holds the folders, without a slash at the end.
        now_s: the time, in s since the epoch; None is the clock.
    """
    now = time.time() if now_s is None else now_s
    newest: dict[str, float] = {}
    for info in store.list(f"{prefix}/"):
        name = info.key.removeprefix(f"{prefix}/").partition("/")[0]
        newest[name] = max(newest.get(name, 0.0), info.modified or now)
    return {name: now - modified for name, modified in newest.items()}
