"""Causes of failed rows as people write them in YAML and in the launchpad."""

from collections.abc import Iterable

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.causes import TRANSIENT_CAUSES, Cause

#: Stands for all causes that may go away by themselves.
TRANSIENT = "transient"


def parse_causes(names: Iterable[str]) -> frozenset[Cause]:
    """Turn names into causes.

    Raises:
        ConfigurationError: there is no such cause.
    """
    known = [TRANSIENT, *Cause]
    causes: set[Cause] = set()
    for name in names:
        if name not in known:
            raise ConfigurationError(f"unknown cause {name!r}: expected one of {', '.join(known)}")
        causes |= TRANSIENT_CAUSES if name == TRANSIENT else {Cause(name)}
    return frozenset(causes)
