r"""Values of a row as text: the sample's JSON member and its caption.

img2dataset's bytes (`json.dumps(columns, indent=4)`). What JSON has no type for is written readably: dates as ISO 8601, decimals and the rest as
text, bytes as UTF-8. A lone surrogate, which UTF-8 and therefore Arrow can not hold, becomes its escape (`\ud800` as six characters) everywhere.
"""

import datetime as dt
import json
import re
from typing import Any

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def utf8(text: Any) -> bytes:
    """Encode text; lone surrogates are escaped."""
    return str(text).encode("utf-8", "backslashreplace")


def without_surrogates(value: Any) -> Any:
    """Escape lone surrogates in a value, however deep they are."""
    if isinstance(value, str):
        return utf8(value).decode() if _LONE_SURROGATE.search(value) else value
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_surrogates(each) for each in value]
    return value


def to_json(columns: dict[str, Any]) -> bytes:
    """Serialize a sample's metadata, four spaces deep."""
    # The C encoder does not indent. For flat values a separator with the line break in it gives the same text 3 times faster.
    if columns and not any(
        isinstance(value, (list, dict, tuple)) or hasattr(value, "tolist")
        for value in columns.values()
    ):
        text = f"{{\n    {_FLAT.encode(columns)[1:-1]}\n}}"
    else:
        text = _NESTED.encode(columns)
    if "\\ud" in text and without_surrogates(columns) != columns:
        return to_json(without_surrogates(columns))
    return text.encode("ascii")


def _as_json(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy
        return value.tolist()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


_FLAT = json.JSONEncoder(separators=(",\n    ", ": "), default=_as_json)
_NESTED = json.JSONEncoder(indent=4, default=_as_json)
