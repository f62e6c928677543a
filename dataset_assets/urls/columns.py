"""From the columns of a list to those of a plan: which to read, their names and types.

URL, caption and hash become strings, boxes become lists of lists of floats. Other columns keep
their Arrow type; dictionaries become their values.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dataset_assets.checks import did_you_mean
from dataset_assets.errors import MissingColumn, UnreadableList
from dataset_assets.redaction import redact
from dataset_assets.urls.lists import ListOptions, Notes
from dataset_assets.urls.text import repair

_Convert = Callable[[pa.Array, Notes, int], pa.Array]
BOXES = pa.list_(pa.list_(pa.float64()))
#: Boxes that cannot be read. A box without corners is refused later: no face is stored unblurred.
_UNREADABLE_BOXES: list[list[float]] = [[]]
_STORED_AS = {
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
    pa.null(): pa.string(),
    pa.time32("s"): pa.time32("ms"),
}
_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
#: JSON of numbers, truth values, lists and structs.
_OTHER_THAN_TEXT = (
    r"(?s)^\s*(?:[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|true|false|\[.*\]|\{.*\})\s*$"
)
_SHOWN = 80  # characters of a value in an error
_NOT_UTF8 = "bytes that are not UTF-8 were read as Latin-1"
_NOT_BOXES = "rows whose boxes are not lists of numbers are invalid"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a list that the options ask for."""

    options: ListOptions

    @property
    def needed(self) -> list[str]:
        """The columns of the list to read, each once."""
        return list(dict.fromkeys(self.options.sources.values()))

    @property
    def typed(self) -> list[str]:
        """The columns that keep their type."""
        return [
            name
            for name in self.options.save_additional_columns
            if name not in (self.options.bbox_col, self.options.verify_hash_col)
        ]

    def check(self, available: Iterable[str], name: str) -> None:
        """Check that a list has the columns.

        Raises:
            MissingColumn: it lacks one.
            UnreadableList: it has one more than once.
        """
        known = [str(each) for each in available]
        for column in self.needed:
            if column not in known:
                # Without a header, the first row is here: its URL may have a password.
                columns = redact(", ".join(known)) or "none"
                hint = did_you_mean(column, [redact(each) for each in known])
                if any("://" in each for each in known):
                    hint = "; the list begins with a URL: add a header line with column names"
                raise MissingColumn(
                    f"{name} has no column {column!r}: its columns are {columns}{hint}"
                )
            if known.count(column) > 1:
                raise UnreadableList(
                    f"{name} has more than one column {column!r}; rename one of them"
                )

    def from_arrow(self, table: pa.Table | pa.RecordBatch, notes: Notes, row: int) -> pa.Table:
        """Build a table from columns of the list; `row` is the number of its first row."""
        made = {}
        for target, source in self.options.sources.items():
            column = table.column(source)
            chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
            if target == "url":
                _check_urls(source, column.type, notes.name)
            kind, convert = self._conversion(target, column.type)
            made[target] = pa.chunked_array([convert(each, notes, row) for each in chunks], kind)
        return pa.table(made)

    def from_values(
        self,
        values: Mapping[str, Sequence[Any]],
        types: Mapping[str, pa.DataType],
        notes: Notes,
        row: int,
    ) -> pa.Table:
        """Build a table from Python values by column of the list, and types of the `typed` ones."""
        made = {}
        for target, source in self.options.sources.items():
            if target in types:
                made[target] = typed_array(values[source], types[target])
            elif target == self.options.bbox_col:
                made[target] = _box_array(values[source], notes, row)
            else:
                made[target] = text_array(values[source], notes, row)
        return pa.table(made)

    def _conversion(self, target: str, stored: pa.DataType) -> tuple[pa.DataType, _Convert]:
        """Return the type of an output column, and what converts stored values to it."""
        if target == self.options.bbox_col:
            return BOXES, _as_boxes
        if target in self.typed:
            return _plain_type(stored), _as_is
        return pa.string(), _as_text


def checked_urls(tables: Iterable[pa.Table], source: str, name: str) -> Iterator[pa.Table]:
    """Yield the tables of a list; check the first one that has URLs.

    A text may be no URL in some rows, but numbers or JSON in all of them are another column.

    Raises:
        UnreadableList: all values are numbers, truth values, lists or structs.
    """
    is_checked = False
    for table in tables:
        if not is_checked:
            urls = table["url"].drop_null()
            is_checked = len(urls) > 0
            other = pc.all(pc.match_substring_regex(urls, _OTHER_THAN_TEXT), min_count=1)
            if other.as_py():
                raise UnreadableList(_not_urls(source, urls[0].as_py()[:_SHOWN], name))
        yield table


def _check_urls(source: str, kind: pa.DataType, name: str) -> None:
    """Check the type of a column of URLs."""
    plain = _plain_type(kind)
    if not any(is_kind(plain) for is_kind in _TEXTS):
        raise UnreadableList(_not_urls(source, f"{kind}", name))


def _not_urls(source: str, found: str, name: str) -> str:
    return (
        f"{name}: expected URLs in column {source!r}, got {found}; set url_col to the column of "
        "the URLs, or make each URL a row"
    )


def text_array(values: Sequence[Any], notes: Notes, row: int) -> pa.Array:
    """Build a string array from any values; None stays null."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        texts = [_text(value) for value in values]
    safe = [None if text is None else repair(text) for text in texts]
    changed = [
        number
        for number, (text, repair) in enumerate(zip(texts, safe, strict=True))
        if text != repair
    ]
    if changed:
        notes.add(_NOT_UTF8, row + changed[0], len(changed))
    return pa.array(safe, pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN is pandas' null
        return None
    return value_text(value)


def value_text(value: Any) -> str:
    """Return a string as it is, other values as JSON, or as `str` if JSON has no such value."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def typed_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Build an array of a type that holds the values; in a string array, other values are JSON."""
    if kind == pa.string():
        values = [None if value is None else value_text(value) for value in values]
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_repaired_deeply(value) for value in values], kind)


def _repaired_deeply(value: Any) -> Any:
    if isinstance(value, str):
        return repair(value)
    if isinstance(value, list):
        return [_repaired_deeply(each) for each in value]
    if isinstance(value, dict):
        return {repair(key): _repaired_deeply(each) for key, each in value.items()}
    return value


def _as_text(column: pa.Array, notes: Notes, row: int) -> pa.Array:
    try:
        text = column.cast(pa.string())
        # A string column of a Parquet file can have bytes that are not UTF-8.
        text.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return text_array(_values(column), notes, row)
    return text


def _values(column: pa.Array) -> list[Any]:
    """Return Python values; strings are bytes, since they may not be UTF-8."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.view(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
    values: list[Any] = column.to_pylist()
    return values


def _as_is(column: pa.Array, notes: Notes, row: int) -> pa.Array:
    kind = _plain_type(column.type)
    plain = column if column.type == kind else column.cast(kind)
    try:
        plain.validate(full=True)
    except pa.ArrowInvalid as exc:
        if pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type):
            return text_array(_values(plain), notes, row).cast(plain.type)
        raise UnreadableList(
            f"{notes.name}: a column has invalid values at row {row} or after: {exc}; "
            "leave it out of save_additional_columns"
        ) from exc
    return plain


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which Parquet stores the values of a type in memory."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_timestamp(kind) and kind.unit == "s":
        return pa.timestamp("ms", kind.tz)
    return _STORED_AS.get(kind, kind)


def _as_boxes(column: pa.Array, notes: Notes, row: int) -> pa.Array:
    try:
        return column.cast(BOXES)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _box_array(column.to_pylist(), notes, row)


def _box_array(values: Sequence[Any], notes: Notes, row: int) -> pa.Array:
    boxes = [_boxes(value) for value in values]
    broken = [number for number, value in enumerate(boxes) if value is _UNREADABLE_BOXES]
    if broken:
        notes.add(_NOT_BOXES, row + broken[0], len(broken))
    return pa.array(boxes, BOXES)


def _boxes(value: Any) -> list[list[float]] | None:
    """Read the boxes of one row, `[[x0, y0, x1, y1], ...]` or JSON of it. Empty text: no boxes."""
    if value is None or value == "":
        return None
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
        if parsed is None:
            return None
        return [[float(corner) for corner in box] for box in parsed]
    except (ValueError, TypeError):
        return _UNREADABLE_BOXES
