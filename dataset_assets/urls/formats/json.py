"""A JSON array of objects or URLs, read as a stream, or columns: `pandas.DataFrame.to_json()`.

Columns (`{"url": {"0": ..., "1": ...}, ...}` or `{"url": [...], ...}`) become rows once all of them
are read, so their size is limited.

Specification: https://www.rfc-editor.org/rfc/rfc8259
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from dataset_assets.errors import UnreadableList
from dataset_assets.json_stream import JsonError, JsonStream, JsonValue
from dataset_assets.urls.lists import ListFile, ListOptions
from dataset_assets.urls.rows import tables
from dataset_assets.urls.text import make_batches, open_text

MAX_COLUMNS = 256 << 20  # characters; the values need about five times as many bytes
MAX_ELEMENT = 64 << 20  # characters
_ADVICE = "check that the file is complete, or set input_format to its format"


class Reader:
    """Reads an array of objects or URLs, or an object of columns."""

    def __init__(self, options: ListOptions) -> None:
        self._options = options

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """Yield the rows of a list in order."""
        return tables(partial(_batches, file), self._options, file.name)


def _batches(file: ListFile) -> Iterator[list[Any]]:
    with open_text(file) as text:
        stream = JsonStream(text.read, largest=MAX_ELEMENT)
        first = stream.peek()
        if first == "[":
            for elements in make_batches(_elements(stream, file.name), _size):
                yield [element.value for element in elements]
        elif first == "{":
            rows = _rows_of_columns(stream.read_rest(MAX_COLUMNS), file.name)
            yield from make_batches(rows, lambda _: 0)
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
            f"{name}: expected columns of at most {MAX_COLUMNS >> 20} Mi characters, got more; "
            "convert it to jsonl"
        )
    try:
        columns = json.loads(text)
    except ValueError as exc:
        hint = _ADVICE
        if "Extra data" in str(exc):
            hint = "it looks like jsonl: set input_format to 'jsonl'"
        raise UnreadableList(f"{name} is not json: {exc}; {hint}") from exc
    values = [
        list(column.values()) if isinstance(column, dict) else column for column in columns.values()
    ]
    is_columns = all(isinstance(column, list) for column in values)
    if not is_columns or len({len(column) for column in values}) > 1:
        raise UnreadableList(
            f"{name}: expected an array of objects or URLs, or columns of equal length, got an "
            f"object; {_ADVICE}"
        )
    for row in zip(*values, strict=True):
        yield dict(zip(columns, row, strict=True))
