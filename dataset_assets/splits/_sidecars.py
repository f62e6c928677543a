"""Metadata that lies beside a file under its name: a caption in `.txt`, columns in `.json`. Turns them into columns that have one type each."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

CAPTION = "caption"
#: Extensions that are metadata, not payloads; what the later says goes.
SIDECARS = ("json", "txt")
#: Columns of the published table that the sample itself fills.
RESERVED = frozenset({"key", "image", "video", "file", "extension"})

_TYPES = {bool: "bool", int: "int64", float: "double", str: "string"}
_INT64 = range(-(2**63), 2**63)
_NO_TEXT = re.compile(r"[\ud800-\udfff]")


def caption_of(data: bytes) -> str:
    """Return the text of a `.txt`, without a byte order mark and the blanks around it.

    Raises:
        ValueError: it is not UTF-8.
    """
    return data.decode("utf-8-sig").strip()


def fields_of(data: bytes, drop: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a `.json`.

    Raises:
        ValueError: it is not one object of texts, numbers, truth values and nulls.
    """
    fields = json.loads(data.decode("utf-8-sig"))
    if not isinstance(fields, dict):
        raise ValueError(f"expected one object of fields, got {type(fields).__name__}")
    fields = {name: value for name, value in fields.items() if name not in drop}
    for name, value in fields.items():
        if value is not None and type(value) not in _TYPES:
            raise ValueError(
                f"the field {name!r} is nested; expected a text, a number, true, false or null: write it as text, or drop it"
            )
        if _NO_TEXT.search(f"{name}{value}"):
            raise ValueError(
                f"the field {name!r} has half a character (an unpaired surrogate); write it as UTF-8"
            )
        if type(value) is int and value not in _INT64:
            raise ValueError(
                f"the field {name!r} has {value}, more than 64 bits hold; write it as text, or drop it"
            )
        if not name or name in RESERVED:
            raise ValueError(
                f"the field {name!r} has the name of a column that the sample fills itself; rename or drop it"
            )
    return fields


class Columns:
    """Columns with one type each, told from their values; whole numbers among others become floating point."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {}
        self._sources: dict[str, str] = {}  # the first file that told the type

    def add(self, fields: Mapping[str, Any], source: str) -> None:
        """Look at the fields of one file.

        Raises:
            ValueError: a field has another type elsewhere.
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
                    f"the field {name!r} is {kind}, but {known} in {self._sources[name]}; expected one type: rewrite or drop it"
                )
            if kind:
                self._sources.setdefault(name, source)

    def types(self) -> dict[str, str]:
        """Return the type of each column, sorted by name, the caption first. A column of nulls is text."""
        return {
            name: self._types[name] or "string"
            for name in sorted(self._types, key=lambda name: (name != CAPTION, name))
        }

    def row(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of one sample under all columns."""
        values = {name: fields.get(name) for name in self.types()}
        return {
            name: float(value) if type(value) is int and self._types[name] == "double" else value
            for name, value in values.items()
        }
