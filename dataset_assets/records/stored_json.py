"""Reads JSON records that lie in stores: one check of their shape, with errors that name the file.

What a record holds is known to its own class (`from_json`).
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dataset_assets.errors import ConfigurationError, ShardCorrupt
from dataset_assets.records.shards import SCHEMA_VERSION

#: What parsing raises when JSON is cut off, or has another shape than expected.
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)

Parsed = TypeVar("Parsed")


def parse_stored(
    data: bytes,
    parse: Callable[[bytes], Parsed],
    *,
    where: str,
    expected: str,
    remedy: str,
) -> Parsed:
    """Parse the bytes of a stored record.

    Args:
        data: the bytes of the file.
        parse: turns them into a record.
        where: the address of the file, for the error.
        expected: what the file should be, such as "the manifest of a split".
        remedy: what the reader of the error can do.

    Raises:
        ShardCorrupt: the file is something else.
        ConfigurationError: `parse` refuses the record for another reason.
    """
    try:
        return parse(data)
    except ConfigurationError:
        raise  # it is a ValueError, but says more than that the file is malformed
    except MALFORMED as exc:
        message = f"{where}: expected {expected}, got something else ({exc}); {remedy}"
        raise ShardCorrupt(message) from exc


def parse_or_none(data: bytes | None, parse: Callable[[bytes], Parsed]) -> Parsed | None:
    """Parse a record that may be absent, cut off or foreign; return None in these cases."""
    if data is None:
        return None
    try:
        return parse(data)
    except MALFORMED:
        return None


def check_schema_version(raw: Mapping[str, Any], where: str) -> None:
    """Refuse a record that a newer version of this package wrote.

    Raises:
        ConfigurationError: it did.
        ValueError, TypeError, KeyError: the record has no schema version.
    """
    version = int(raw["schema_version"])
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"{where}: expected schema version {SCHEMA_VERSION} at most, got {version}; "
            "upgrade dataset-assets"
        )
