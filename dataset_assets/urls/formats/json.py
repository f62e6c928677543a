"""A JSON array of objects, read as a stream, or the columns that `pandas.DataFrame.to_json()` writes: https://www.rfc-editor.org/rfc/rfc8259.

Columns (`{"url": {"0": ..., "1": ...}, ...}` or `{"url": [...], ...}`) only make rows when all of them are read, so their size is limited.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, TextIO

import pyarrow as pa

from dataset_assets.errors import UnreadableList
from dataset_assets.urls._rows import tables
from dataset_assets.urls._text import batched, open_text
from dataset_assets.urls.lists import ListFile, ListOptions

#: Characters. Python needs about five times as many bytes for the values.
MAX_COLUMNS = 256 << 20
MAX_ELEMENT = 64 << 20
_BLOCK = 1 << 20
_SPACE = " \t\r\n"
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
        blocks = iter(partial(text.read, _BLOCK), "")
        start = next(filter(None, (block.lstrip(_SPACE) for block in blocks)), "")
        if start.startswith("["):
            elements = _Elements(text, file.name, start[1:])
            sized = batched(elements.read(), lambda element: element[1])
        elif start.startswith("{"):
            rows = _rows_of_columns(start + text.read(MAX_COLUMNS), file.name)
            sized = batched(((row, 0) for row in rows), lambda element: element[1])
        elif start:
            raise UnreadableList(
                f"{file.name} is not json: it starts with {start[:20]!r}, expected '[' or '{{'; {_ADVICE}"
            )
        else:
            return
        for batch in sized:
            yield [element for element, _ in batch]


class _Elements:
    """The elements of an array, as they come, with the number of characters each has."""

    def __init__(self, text: TextIO, name: str, buffer: str) -> None:
        self._text, self._name = text, name
        self._buffer, self._position = buffer, 0
        self._number = 0

    def read(self) -> Iterator[tuple[Any, int]]:
        decode = json.JSONDecoder().raw_decode
        if self._next_character() == "]":
            return self._end()
        while True:
            self._next_character()
            try:
                element, end = decode(self._buffer, self._position)
            except json.JSONDecodeError as exc:
                if len(self._buffer) - self._position > MAX_ELEMENT or not self._more():
                    raise self._broken(exc.msg) from exc
                continue
            yield element, end - self._position
            self._position = end
            self._number += 1
            separator = self._next_character()
            if separator == "]":
                return self._end()
            if separator != ",":
                raise self._broken(f"expected ',' or ']', came {separator!r}")
            self._position += 1

    def _next_character(self) -> str:
        while True:
            while self._position < len(self._buffer):
                character = self._buffer[self._position]
                if character not in _SPACE:
                    return character
                self._position += 1
            if not self._more():
                raise self._broken("the file ends within the array")

    def _more(self) -> bool:
        """Read on, as much as is held already, so that a long element is not parsed again for each block."""
        rest = self._buffer[self._position :]
        more = self._text.read(max(_BLOCK, len(rest)))
        self._buffer, self._position = rest + more, 0
        return bool(more)

    def _end(self) -> None:
        after = (self._buffer[self._position + 1 :] + self._text.read(_BLOCK)).strip(_SPACE)
        if after:
            raise self._broken(f"more text after the end of the array: {after[:20]!r}")

    def _broken(self, problem: str) -> UnreadableList:
        return UnreadableList(
            f"{self._name} is broken after element {self._number:,}: {problem}; {_ADVICE}"
        )


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
