"""Plug-ins by file name: in a plug-in folder, the name of a module is the name a user types.

`names("output_format")` lists the plug-ins of a role; `load("output_format", "webdataset")` imports one and returns its role class. Adding a format is adding a file: there is no list to edit.
A name is checked against the folder before anything is imported, so text from a configuration never reaches an arbitrary import.
"""

import importlib
import pkgutil
from difflib import get_close_matches
from functools import cache
from typing import Any

from dataset_assets.errors import UnknownName

#: role -> (its plug-in folder, the class that a plug-in defines)
ROLES = {
    "store": ("dataset_assets.storage.stores", "Store"),
    "input_format": ("dataset_assets.urls.formats", "Reader"),
    "output_format": ("dataset_assets.shards.formats", "Writer"),
    "distributor": ("dataset_assets.distribute", "Distributor"),
    "staging_source": ("dataset_assets.staging.sources", "Source"),
}


@cache
def names(role: str) -> tuple[str, ...]:
    """List the plug-ins of a folder: its modules whose name does not start with an underscore."""
    module = importlib.import_module(ROLES[role][0])
    found = (info.name for info in pkgutil.iter_modules(module.__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def check(role: str, name: str) -> str:
    """Return `name` when the folder has such a plug-in.

    Raises:
        UnknownName: it has not; the message lists the names that exist.
    """
    known = names(role)
    if name in known:
        return name
    near = get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownName(f"unknown {role} {name!r}: expected one of {', '.join(known)}{hint}")


def load(role: str, name: str) -> Any:
    """Import one plug-in and return its role class (see `ROLES`).

    Raises:
        UnknownName: the folder has no such file.
    """
    package, role_class = ROLES[role]
    module = importlib.import_module(f"{package}.{check(role, name)}")
    return getattr(module, role_class)
