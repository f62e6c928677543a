"""Chooses the columns of a sidecar that describe a sample, and their types in a split."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from dataset_assets.errors import ConfigurationError

#: What a download records about itself: readers of a published sample do not need it.
BOOKKEEPING = frozenset(
    {
        "key",
        "status",
        "error_message",
        "original_width",
        "original_height",
        "exif",
        "cause",
        "http_status",
        "content_type",
        "final_url",
        "extension",
        "trailing_bytes",
        "offset",
        "bytes",
    }
)
_WIDER = {
    frozenset({"int32", "int64"}): "int64",
    frozenset({"int32", "double"}): "double",
    frozenset({"int64", "double"}): "double",
}


def merge_columns(schemas: Iterable[tuple[str, pa.Schema]]) -> dict[str, str]:
    """Return name and type of the metadata columns of tables; each type holds the values of all.

    Args:
        schemas: address and columns of each table.

    Returns:
        The columns in the order in which they first occur.

    Raises:
        ConfigurationError: the types of a column in two tables cannot be combined.
    """
    kinds: dict[str, str] = {}
    labels: dict[str, str] = {}
    for label, schema in schemas:
        for field in schema:
            name = field.name
            if name in BOOKKEEPING:
                continue
            known = (kinds.get(name, "null"), labels.get(name, label))
            kinds[name] = _wider_kind(name, known, (_kind(field.type), label))
            labels[name] = label
    return {name: "string" if kind == "null" else kind for name, kind in kinds.items()}


def plain_value(value: Any, kind: str) -> Any:
    """Return a value as the type of its column: lists, times and others become JSON or text."""
    if value is None or kind != "string" or isinstance(value, str):
        return value
    text = _text(value)
    if isinstance(text, str):
        return text
    return json.dumps(text, default=_text, ensure_ascii=False, sort_keys=True)


def _text(value: Any) -> Any:
    if isinstance(value, list | dict | bool | int | float):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return "null"
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_floating(kind):
        return "double"
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):  # uint64 does not fit into int64
        return "int32" if kind.bit_width < 32 or kind == pa.int32() else "int64"
    return "string"


def _wider_kind(column: str, one: tuple[str, str], other: tuple[str, str]) -> str:
    kinds = {one[0], other[0]} - {"null"}
    if len(kinds) < 2:
        return kinds.pop() if kinds else "null"
    wider = _WIDER.get(frozenset(kinds))
    if wider is None:
        raise ConfigurationError(
            f"column {column!r}: expected one type, got {one[0]} in {one[1]} and {other[0]} in "
            f"{other[1]}; split the sets one by one, or rename the column in one of the lists"
        )
    return wider
