"""Which columns of a shard's sidecar describe a sample, and under which of the few types that a split knows."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from dataset_assets.errors import ConfigurationError

#: What a download notes down about itself: nothing that a reader of a published sample asks for.
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
    }
    | {"extension", "trailing_bytes", "offset", "bytes"}
)
_KINDS = (
    (pa.types.is_null, "null"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_uint64, "string"),  # does not fit into int64
    (
        lambda kind: pa.types.is_integer(kind) and (kind.bit_width < 32 or kind == pa.int32()),
        "int32",
    ),
    (pa.types.is_integer, "int64"),
    (pa.types.is_floating, "double"),
)
_WIDER = {
    frozenset({"int32", "int64"}): "int64",
    frozenset({"int32", "double"}): "double",
    frozenset({"int64", "double"}): "double",
}


def merge_columns(schemas: Iterable[tuple[str, pa.Schema]]) -> dict[str, str]:
    """Return the metadata columns of named tables, in the order in which they first occur: name -> type that holds the values of all.

    Raises:
        ConfigurationError: two tables have values that do not go together; the message has the column and both tables.
    """
    kinds: dict[str, str] = {}
    seen: dict[str, str] = {}
    for label, schema in schemas:
        for field in schema:
            if field.name in BOOKKEEPING:
                continue
            kind, known = _kind(field.type), kinds.get(field.name, "null")
            kinds[field.name] = _join(
                field.name, (known, seen.get(field.name, label)), (kind, label)
            )
            seen[field.name] = label
    return {name: "string" if kind == "null" else kind for name, kind in kinds.items()}


def plain_value(value: Any, kind: str) -> Any:
    """Return a value as its column's type has it: lists, times and the like become JSON or text."""
    if value is None or kind != "string" or isinstance(value, str):
        return value
    text = _text(value)
    return (
        text
        if isinstance(text, str)
        else json.dumps(text, default=_text, ensure_ascii=False, sort_keys=True)
    )


def _text(value: Any) -> Any:
    if isinstance(value, list | dict | bool | int | float):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return next((name for is_kind, name in _KINDS if is_kind(kind)), "string")


def _join(column: str, one: tuple[str, str], other: tuple[str, str]) -> str:
    kinds = {one[0], other[0]} - {"null"}
    if len(kinds) < 2:
        return kinds.pop() if kinds else "null"
    wider = _WIDER.get(frozenset(kinds))
    if wider is None:
        raise ConfigurationError(
            f"column {column!r} has values of type {one[0]} in {one[1]} and {other[0]} in {other[1]}: "
            "expected one type; split the sets one by one, or rename the column in one of the lists"
        )
    return wider
