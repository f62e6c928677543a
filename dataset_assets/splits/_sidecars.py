"""Metadata beside a file under its name: a caption in `.txt`, columns in `.json`.

Turns both into columns with one type each.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

CAPTION = "caption"
#: Extensions that hold metadata, not payloads; the later one takes precedence.
SIDECARS = ("json", "txt")
#: Columns of the published table that the sample itself fills.
RESERVED = frozenset({"key", "image", "video", "file", "extension"})

_TYPES = {bool: "bool", int: "int64", float: "double", str: "string"}
_INT64 = range(-(2**63), 2**63)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def caption_of(data: bytes) -> str:
    """Return the text of a `.txt` file without byte order mark and surrounding white space.

    Raises:
        ValueError: it is not UTF-8.
    """
    return data.decode("utf-8-sig").strip()


def fields_of(data: bytes, drop: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a `.json` file, without those that `drop` names.

    Raises:
        ValueError: it is not one object of texts, numbers, booleans and nulls.
    """
    fields = json.loads(data.decode("utf-8-sig"))
    if not isinstance(fields, dict):
        raise ValueError(f"expected one object of fields, got {type(fields).__name__}")
    kept = {name: value for name, value in fields.items() if name not in drop}
    for name, value in kept.items():
        _check_field(name, value)
    return kept


def _check_field(name: str, value: Any) -> None:
    if value is not None and type(value) not in _TYPES:
        raise ValueError(
            f"the field {name!r} is nested; expected a text, a number, true, false or null: write "
            "it as text, or drop it"
        )
    if _SURROGATE.search(f"{name}{value}"):
        raise ValueError(f"the field {name!r} has an unpaired surrogate; write it as UTF-8")
    if type(value) is int and value not in _INT64:
        raise ValueError(
            f"the field {name!r}: expected an integer of 64 bits, got {value}; write it as text, "
            "or drop it"
        )
    if not name or name in RESERVED:
        raise ValueError(
            f"the field {name!r} has the name of a column that the sample itself fills; rename or "
            "drop it"
        )


class ColumnTypes:
    """Columns with one type each, derived from values.

    A column of integers and floats has floats.
    """

    def __init__(self) -> None:
        self._types: dict[str, str] = {}
        #: The first sample that showed the type of a column.
        self._sources: dict[str, str] = {}

    def add(self, fields: Mapping[str, Any], source: str) -> None:
        """Add the fields of one sample.

        Raises:
            ValueError: a field has another type in another sample.
        """
        for name, value in fields.items():
            kind = _TYPES[type(value)] if value is not None else ""
            known = self._types.setdefault(name, kind)
            if kind and not known:
                self._types[name] = kind
            elif kind and {kind, known} == {"int64", "double"}:
                self._types[name] = "double"
            elif kind not in ("", known):
                raise ValueError(
                    f"the field {name!r} is {kind}, but {known} in {self._sources[name]}; expected "
                    "one type: rewrite or drop it"
                )
            if kind:
                self._sources.setdefault(name, source)

    def types(self) -> dict[str, str]:
        """Return the type of each column, the caption first, then by name.

        A column of nulls has text.
        """
        names = sorted(self._types, key=lambda name: (name != CAPTION, name))
        return {name: self._types[name] or "string" for name in names}

    def row(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of one sample in all columns."""
        return {name: self._value(name, fields.get(name)) for name in self.types()}

    def _value(self, name: str, value: Any) -> Any:
        is_widened = type(value) is int and self._types[name] == "double"
        return float(value) if is_widened else value
