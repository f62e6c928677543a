"""Plug-ins by name: in a plug-in folder, the name of a module is the name that a user types.

A plug-in is one file, or one folder with an `__init__.py`, that defines the name its role asks for
(`ROLES`). There is no list to edit:

* inside the package, put it into the folder of its role;
* outside, install a distribution with an entry point of the group `dataset_assets.<role>`, whose
  name is the name that a user types and whose value is the module:

      [project.entry-points."dataset_assets.output_format"]
      lines = "my_formats.lines"

Worker processes find outside plug-ins in the same way. A file of the package wins over an entry
point of its name, which is never looked at. Two entry points of one name are an error once that
name is asked for. A name is looked up before anything is imported, so text from a configuration
never reaches an arbitrary import.

Specification: https://packaging.python.org/en/latest/specifications/entry-points/
"""

import importlib
import pkgutil
from functools import cache
from typing import Any, NamedTuple

from dataset_assets.checks import did_you_mean
from dataset_assets.errors import ConfigurationError, UnknownName


class Role(NamedTuple):
    """What plug-ins of one kind have in common."""

    folder: str
    """Package that holds the plug-ins of this project and nothing else."""
    defines: str
    """Name that the module of a plug-in defines: a class, in most roles."""


ROLES = {
    "store": Role("dataset_assets.storage.stores", "Store"),
    "input_format": Role("dataset_assets.urls.formats", "Reader"),
    "output_format": Role("dataset_assets.shards.formats", "Writer"),
    "distributor": Role("dataset_assets.distribute", "Distributor"),
    "split_source": Role("dataset_assets.splits.sources", "SplitSource"),
    "staging_source": Role("dataset_assets.staging.sources", "Source"),
    "encoder": Role("dataset_assets.embeddings.encoders", "Encoder"),
    "training_layout": Role("dataset_assets.training.layouts", "Layout"),
    "hub_target": Role("dataset_assets.hub.targets", "HubTarget"),
    "stage": Role("dataset_assets.orchestration.stages", "STAGE"),
}


def names(role: str) -> tuple[str, ...]:
    """List the plug-ins of a role, those outside the package included."""
    return tuple(sorted({*_inside(role), *_outside(role)}))


def has(role: str, name: str) -> bool:
    """Tell whether a role has a plug-in of this name."""
    return name in _inside(role) or name in _outside(role)


def check(role: str, name: str) -> str:
    """Return `name` when the role has such a plug-in.

    Raises:
        UnknownName: there is none; the message lists the names that exist.
    """
    if isinstance(name, str) and has(role, name):
        return name
    known = names(role)
    expected = ", ".join(known)
    hint = did_you_mean(name, known)
    raise UnknownName(f"unknown {role} {name!r}: expected one of {expected}{hint}")


def load(role: str, name: str) -> Any:
    """Import one plug-in and return what its role asks for (see `ROLES`).

    Raises:
        UnknownName: the role has no such plug-in.
        ConfigurationError: two plug-ins have the name, or the module lacks what the role asks for.
    """
    plug_in = importlib.import_module(_module(role, check(role, name)))
    defines = ROLES[role].defines
    if not hasattr(plug_in, defines):
        raise ConfigurationError(
            f"{role} {name!r}: expected {plug_in.__name__} to define {defines!r}, got nothing of "
            "that name; define it, or correct the entry point"
        )
    return getattr(plug_in, defines)


def _module(role: str, name: str) -> str:
    if name in _inside(role):
        return f"{ROLES[role].folder}.{name}"
    modules = _outside(role)[name]
    if len(modules) > 1:
        raise ConfigurationError(
            f"{role} {name!r}: expected one plug-in of this name, got {' and '.join(modules)}; "
            "uninstall all but one"
        )
    return modules[0]


@cache
def _inside(role: str) -> frozenset[str]:
    """Return the plug-ins of a folder: its modules whose names do not start with an underscore."""
    folder = importlib.import_module(ROLES[role].folder)
    found = (info.name for info in pkgutil.iter_modules(folder.__path__))
    return frozenset(name for name in found if not name.startswith("_"))


@cache
def _outside(role: str) -> dict[str, list[str]]:
    """Return the modules of each entry point name: more than one if distributions clash."""
    # Slower to import than most of this package, and names of the package do without it.
    from importlib.metadata import entry_points

    found: dict[str, list[str]] = {}
    for entry in entry_points(group=f"dataset_assets.{role}"):
        modules = found.setdefault(entry.name, [])
        if entry.module not in modules:
            modules.append(entry.module)
    return found
