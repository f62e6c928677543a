"""Plug-ins by file name: in a plug-in folder, the name of a module is the name a user types.

`names("dataset_assets.shards")` lists the public modules of a folder; `load("dataset_assets.shards", "webdataset", "Writer")`
imports one and returns its role class. Adding a format is adding a file: there is no list to edit.
A name is checked against the folder before anything is imported, so text from a configuration never reaches an arbitrary import.
"""

import importlib
import pkgutil
from difflib import get_close_matches
from functools import cache
from typing import Any

from dataset_assets.errors import UnknownName

#: folder -> (what a file in it is, role class)
ROLES = {
    "dataset_assets.storage": ("store", "Store"),
    "dataset_assets.urls": ("input_format", "Reader"),
    "dataset_assets.shards": ("output_format", "Writer"),
    "dataset_assets.distribute": ("distributor", "Distributor"),
}


@cache
def names(package: str) -> tuple[str, ...]:
    """List the plug-ins of a folder: its modules whose name does not start with an underscore."""
    module = importlib.import_module(package)
    found = (info.name for info in pkgutil.iter_modules(module.__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def check(package: str, name: str) -> str:
    """Return `name` when the folder has such a plug-in.

    Raises:
        UnknownName: it has not; the message lists the names that exist.
    """
    known = names(package)
    if name in known:
        return name
    kind = ROLES[package][0]
    near = get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownName(f"unknown {kind} {name!r}: expected one of {', '.join(known)}{hint}")


def load(package: str, name: str) -> Any:
    """Import one plug-in and return its role class (see `ROLES`).

    Raises:
        UnknownName: the folder has no such file.
    """
    module = importlib.import_module(f"{package}.{check(package, name)}")
    return getattr(module, ROLES[package][1])
