"""Reads JSON records that lie in stores: one check of their shape, with errors that name the file.

What a record holds is known to its own class (`from_json`), and checked by `records.typed_json`.
"""

from collections.abc import Callable
from typing import TypeVar

from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.typed_json import JsonMismatch, describe, load_object

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
        data: the bytes of the file, a JSON object.
        parse: turns them into a record.
        where: the address of the file, for the error.
        expected: what the file should be, such as "the manifest of a split".
        remedy: what the reader of the error can do.

    Raises:
        ShardCorrupt: the file is something else.
        ConfigurationError: a newer version of this package wrote it.
    """
    try:
        _check_schema_version(data, where)
        return parse(data)
    except ConfigurationError:
        raise  # it is a ValueError, but says more than that the file is malformed
    except MALFORMED as exc:
        message = f"{where}: expected {expected}, got something else ({exc}); {remedy}"
        raise ShardCorrupt(message) from exc


def read_or_none(
    read: Callable[[str], bytes], key: str, parse: Callable[[bytes], Parsed]
) -> Parsed | None:
    """Read a record that may be absent, cut off or foreign; return None in these cases.

    Args:
        read: that of the store.
        key: the record.
        parse: turns the bytes into a record; `bytes` for any object.
    """
    try:
        return parse(read(key))
    except (ObjectMissing, *MALFORMED):
        return None


def _check_schema_version(data: bytes, where: str) -> None:
    version = load_object(data).get("schema_version", SCHEMA_VERSION)
    if type(version) is not int or version < 1:
        raise JsonMismatch("an integer of 1 or more", describe(version)).within("schema_version")
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"{where}: expected schema version {SCHEMA_VERSION} at most, got {version}; "
            "upgrade dataset-assets"
        )
