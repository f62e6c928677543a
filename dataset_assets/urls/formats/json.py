"""A JSON array of objects, read as a stream, or the columns that `pandas.DataFrame.to_json()` writes: https://www.rfc-editor.org/rfc/rfc8259.

Columns (`{"url": {"0": ..., "1": ...}, ...}` or `{"url": [...], ...}`) only make rows when all of them are read, so their size is limited.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from dataset_assets.errors import UnreadableList
from dataset_assets.json_stream import JsonError, JsonStream, JsonValue
from dataset_assets.urls._rows import tables
from dataset_assets.urls._text import batched, open_text
from dataset_assets.urls.lists import ListFile, ListOptions

#: Characters. Python needs about five times as many bytes for the values.
MAX_COLUMNS = 256 << 20
MAX_ELEMENT = 64 << 20
_ADVICE = "check that the file is complete, or set input_format to what it is"


class Reader:
    """Reads an array of objects, or an object of columns."""

    def __init__(self, options: ListOptions) -> None:
        self._options = options

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """See `_base.Reader`."""
        return tables(partial(_batches, file), self._options, file.name)


def _batches(file: ListFile) -> Iterator[list[Any]]:
    with open_text(file) as text:
        stream = JsonStream(text.read, largest=MAX_ELEMENT)
        first = stream.peek()
        if first == "[":
            for elements in batched(_elements(stream, file.name), _size):
                yield [element.value for element in elements]
        elif first == "{":
            rows = _rows_of_columns(stream.read_rest(MAX_COLUMNS), file.name)
            yield from batched(rows, lambda _: 0)
        elif first:
            problem = stream.error("'[' or '{'")
            raise UnreadableList(f"{file.name} is not json: {problem}; {_ADVICE}")


def _elements(stream: JsonStream, name: str) -> Iterator[JsonValue]:
    number = 0
    try:
        for element in stream.read_array():
            yield element
            number += 1
        stream.check_end()
    except JsonError as exc:
        raise UnreadableList(
            f"{name} is broken after element {number:,}: {exc}; {_ADVICE}"
        ) from exc


def _size(element: JsonValue) -> int:
    return element.end - element.start


def _rows_of_columns(text: str, name: str) -> Iterator[dict[str, Any]]:
    if len(text) > MAX_COLUMNS:
        raise UnreadableList(
            f"{name} is one JSON object of more than {MAX_COLUMNS >> 20} Mi characters, too large to turn into rows; convert it to jsonl"
        )
    try:
        columns = json.loads(text)
    except ValueError as exc:
        hint = (
            "this looks like jsonl: set input_format to 'jsonl'"
            if "Extra data" in str(exc)
            else _ADVICE
        )
        raise UnreadableList(f"{name} is not json: {exc}; {hint}") from exc
    values = [
        list(column.values()) if isinstance(column, dict) else column for column in columns.values()
    ]
    if (
        not all(isinstance(column, list) for column in values)
        or len({len(column) for column in values}) > 1
    ):
        raise UnreadableList(
            f"{name} is one JSON object, expected an array of objects, or columns of equal length; {_ADVICE}"
        )
    for row in zip(*values, strict=True):
        yield dict(zip(columns, row, strict=True))
