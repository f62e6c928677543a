"""Turns JSON into records: every value is checked against the annotation of its field.

What JSON of a store can do wrong is refused here, in one place: other types, missing and unknown
keys, numbers beyond 64 bits, NaN, text that is no UTF-8, lone surrogates, deep nesting, and names
of files that would leave their folder. Standard library only; who names the file in the error is
`records.stored_json`.
"""

import json
import math
import re
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from reprlib import repr as shown
from typing import (
    Annotated,
    Any,
    NamedTuple,
    NoReturn,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

#: Of one document: the manifest of some hundred thousand shards has this size.
MAX_BYTES = 1 << 29
#: Of values whose shape nobody knows.
MAX_DEPTH = 32
_INT64 = range(-(2**63), 2**63)
_MAX_NAME_BYTES = 1024
_MAX_PART_BYTES = 255
_SURROGATE = re.compile(r"[\ud800-\udfff]")

Record = TypeVar("Record")
_Decode = Callable[[Any], Any]


class _Rule(NamedTuple):
    """A further rule for a value of a field."""

    expected: str
    holds: Callable[[Any], bool]


def _is_file_name(name: str) -> bool:
    """Tell whether a path stays in its folder."""
    parts = name.split("/")
    is_inside = not any(part in ("", ".", "..") for part in parts)
    is_short = len(name.encode()) <= _MAX_NAME_BYTES and all(
        len(part.encode()) <= _MAX_PART_BYTES for part in parts
    )
    return is_inside and is_short and not {"\\", "\0"} & set(name)


#: Annotation of a number of rows, samples or bytes.
Count = Annotated[int, _Rule("a count of 0 or more", lambda number: number >= 0)]
#: Annotation of a count that something is divided by.
PositiveCount = Annotated[int, _Rule("a count of 1 or more", lambda number: number >= 1)]
#: Annotation of the path of a file in the folder of the record.
FileName = Annotated[str, _Rule("the name of a file in the same folder", _is_file_name)]
#: Annotation of text that came from outside: it may have lone surrogates.
RawText = Annotated[str, "raw"]


def one_of(*known: str) -> _Rule:
    """Return the rule, for `Annotated`, of a text that is one of some."""
    return _Rule(f"one of {', '.join(known)}", lambda text: text in known)


class JsonMismatch(ValueError):
    """A value that is not what the record has at this place."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__()
        self._problem = f"expected {expected}, got {got}"
        self._place: list[str | int] = []

    def within(self, step: str | int) -> "JsonMismatch":
        """Return the error with one more step of the place, from the inside to the outside."""
        self._place.insert(0, step)
        return self

    def __str__(self) -> str:
        place = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in self._place
        )
        return f"{place.lstrip('.')}: {self._problem}" if place else self._problem


def load_json(data: bytes) -> Any:
    """Parse a JSON document in UTF-8.

    Raises:
        ValueError: it is too large or too deep, not UTF-8, no JSON, or has NaN or Infinity.
    """
    if len(data) > MAX_BYTES:
        raise JsonMismatch(f"JSON of at most {MAX_BYTES} bytes", f"{len(data)} bytes")
    try:
        return json.loads(str(data, "utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as exc:
        raise JsonMismatch("JSON in UTF-8", f"other bytes at byte {exc.start}") from None
    except json.JSONDecodeError as exc:
        got = f"{exc.msg} in line {exc.lineno}, column {exc.colno}" if data else "an empty file"
        raise JsonMismatch("JSON", got) from None
    except RecursionError:
        raise JsonMismatch("JSON", "values that are nested too deeply") from None


def load_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON document that is an object.

    Raises:
        ValueError: see `load_json`; or it is something else than an object.
    """
    raw: dict[str, Any] = _expect_object(load_json(data))
    return raw


def decode(
    kind: type[Record], raw: Any, *, required: Sequence[str] = (), foreign_keys: bool = False
) -> Record:
    """Build a value of a type from parsed JSON.

    Args:
        kind: a dataclass, or another annotation: `dict[str, Count]`.
        raw: what `load_json` returned.
        required: fields that must be there although they have a default.
        foreign_keys: ignore keys that are not fields of the outermost dataclass.

    Raises:
        ValueError: a value is not of its type; the message has its place.

    Example:
        >>> from dataset_assets.records.shards import ShardFile
        >>> decode(ShardFile, {"name": "00000.tar", "bytes": 10240})
        ShardFile(name='00000.tar', bytes=10240, sha256=None)
        >>> decode(ShardFile, {"name": "00000.tar", "bytes": "10240"})
        Traceback (most recent call last):
        dataset_assets.records.typed_json.JsonMismatch: bytes: expected an integer, got '10240'
    """
    of_kind = _decoder(cast(Hashable, kind))
    if not is_dataclass(kind):
        found: Record = of_kind(raw)
        return found
    values = _expect_object(raw)
    if foreign_keys:
        known = {field.name for field in fields(kind)}
        values = {name: value for name, value in values.items() if name in known}
    for name in required:
        if name not in values:
            raise JsonMismatch(f"the key {name!r}", _keys(values))
    record: Record = of_kind(values)
    return record


@cache
def _decoder(kind: Hashable) -> _Decode:
    """Return the function that checks and converts values of an annotation."""
    if is_dataclass(kind):
        return _dataclass_decoder(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin = get_origin(kind)
    if origin in _GENERIC:
        return _GENERIC[origin](get_args(kind))
    raise TypeError(f"expected an annotation that JSON can have, got {kind!r}")


def _dataclass_decoder(kind: Any) -> _Decode:
    hints = get_type_hints(kind, include_extras=True)
    decoders = {field.name: _decoder(hints[field.name]) for field in fields(kind)}
    needed = [
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    ]

    def decode_fields(raw: Any) -> Any:
        values = _expect_object(raw)
        for name in needed:
            if name not in values:
                raise JsonMismatch(f"the key {name!r}", _keys(values))
        found = {}
        for name, value in values.items():
            if name not in decoders:
                raise JsonMismatch(f"the keys {', '.join(decoders)}", shown(name))
            try:
                found[name] = decoders[name](value)
            except JsonMismatch as exc:
                raise exc.within(name) from None
        return kind(**found)

    return decode_fields


def _annotated(arguments: tuple[Any, ...]) -> _Decode:
    inner, *rules = arguments
    if rules == ["raw"]:
        return _raw_text
    decode_inner = _decoder(inner)

    def decode_ruled(raw: Any) -> Any:
        value = decode_inner(raw)
        for rule in rules:
            if not rule.holds(value):
                raise JsonMismatch(rule.expected, shown(value))
        return value

    return decode_ruled


def _union(arguments: tuple[Any, ...]) -> _Decode:
    """Return the decoder of `X | None`, the only union that records have."""
    (inner,) = (each for each in arguments if each is not type(None))
    decode_inner = _decoder(inner)
    return lambda raw: None if raw is None else decode_inner(raw)


def _items(raw: Any, decoders: Callable[[int], _Decode]) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        raise JsonMismatch("a list", describe(raw))
    found = []
    for index, value in enumerate(raw):
        try:
            found.append(decoders(index)(value))
        except JsonMismatch as exc:
            raise exc.within(index) from None
    return tuple(found)


def _tuple(arguments: tuple[Any, ...]) -> _Decode:
    if arguments[-1] is Ellipsis:
        decode_item = _decoder(arguments[0])
        return lambda raw: _items(raw, lambda _: decode_item)
    each = [_decoder(argument) for argument in arguments]

    def decode_tuple(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, list) or len(raw) != len(each):
            raise JsonMismatch(f"a list of {len(each)} values", describe(raw))
        return _items(raw, each.__getitem__)

    return decode_tuple


def _dict(arguments: tuple[Any, ...]) -> _Decode:
    decode_key, decode_value = map(_decoder, arguments)

    def decode_dict(raw: Any) -> dict[str, Any]:
        found = {}
        for name, value in _expect_object(raw).items():
            try:
                found[decode_key(name)] = decode_value(value)
            except JsonMismatch as exc:
                raise exc.within(name) from None
        return found

    return decode_dict


def _text(raw: Any) -> str:
    text = _raw_text(raw)
    if not text.isascii() and _SURROGATE.search(text):
        raise JsonMismatch("text in Unicode", f"a lone surrogate in {shown(text)}")
    return text


def _raw_text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise JsonMismatch("a text", describe(raw))
    return raw


def _integer(raw: Any) -> int:
    if type(raw) is not int or raw not in _INT64:
        raise JsonMismatch("an integer", describe(raw))
    return raw


def _number(raw: Any) -> float:
    if type(raw) is int:
        return float(_integer(raw))
    if type(raw) is not float or not math.isfinite(raw):
        raise JsonMismatch("a number", describe(raw))
    return raw


def _boolean(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise JsonMismatch("true or false", describe(raw))
    return raw


def _anything(raw: Any, depth: int = 0) -> Any:
    """Check a value of unknown shape: its depth, its numbers and its texts."""
    if depth > MAX_DEPTH:
        raise JsonMismatch(f"at most {MAX_DEPTH} levels", "more")
    if isinstance(raw, dict):
        return {_text(name): _anything(value, depth + 1) for name, value in raw.items()}
    if isinstance(raw, list):
        return [_anything(value, depth + 1) for value in raw]
    if isinstance(raw, str):
        return _text(raw)
    if type(raw) is int:
        return _integer(raw)
    return _number(raw) if isinstance(raw, float) else raw


_PLAIN: dict[Any, _Decode] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _boolean,
    Any: _anything,
}
_GENERIC: dict[Any, Callable[[tuple[Any, ...]], _Decode]] = {
    Annotated: _annotated,
    Union: _union,
    types.UnionType: _union,
    tuple: _tuple,
    dict: _dict,
    Mapping: _dict,
}


def describe(raw: Any) -> str:
    """Describe a parsed value in a few words: its kind, or itself where it is short."""
    if isinstance(raw, dict):
        return "an object"
    if isinstance(raw, list):
        return f"a list of {len(raw)}"
    if type(raw) is int and raw not in _INT64:
        return "a larger one than 64 bits hold"
    names = {None: "null", True: "true", False: "false"}
    return names[raw] if raw is None or isinstance(raw, bool) else shown(raw)


def _expect_object(raw: Any) -> Any:
    if not isinstance(raw, dict):
        raise JsonMismatch("an object", describe(raw))
    return raw


def _keys(values: Mapping[str, Any]) -> str:
    names = ", ".join(map(shown, [*values][:8]))
    return f"the keys {names}" if names else "none"


def _refuse_constant(name: str) -> NoReturn:
    raise JsonMismatch("a number", name)
