"""Which names a member of an archive may have: strict for our own tars, safe for published ones."""

import re

from dataset_assets.errors import ConfigurationError

MAX_NAME = 4096
"""Longest name of a member: bytes in our own tars, characters in published archives."""
MAX_NAME_PART = 255
"""Longest folder or file name in our own tars, in bytes: what file systems accept."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search


def check_member_name(name: str) -> str:
    """Return a name that our own tars may hold: it stays in its folder, and no reader skips it.

    Raises:
        ConfigurationError: the name is not safe.
    """
    parts = name.split("/")
    is_safe = (
        _is_portable(name)
        and not any(not part or part.startswith((".", "__")) for part in parts)
        and _fits_file_systems(parts)
    )
    if not is_safe:
        raise ConfigurationError(
            f"member name: expected relative parts of at most {MAX_NAME_PART} bytes, separated by "
            "'/', none of them empty, hidden or '..', without backslashes and control characters, "
            f"got {name!r}; rename the file"
        )
    return name


def is_safe_name(name: str) -> bool:
    """Tell whether a published name stays below its folder on every operating system."""
    parts = name.split("/")
    has_drive = name[1:2] == ":" and name[0].isalpha()
    return (
        _is_portable(name)
        and all(part not in ("", ".", "..") for part in parts)
        and not has_drive
        and len(name) <= MAX_NAME
    )


def _is_portable(name: str) -> bool:
    return "\\" not in name and not _CONTROL(name)


def _fits_file_systems(parts: list[str]) -> bool:
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return False
    return max(sizes) <= MAX_NAME_PART and sum(sizes) + len(sizes) <= MAX_NAME
