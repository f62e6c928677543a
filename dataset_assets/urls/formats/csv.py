"""Comma separated values with a header line: https://www.rfc-editor.org/rfc/rfc4180.

Values may hold quoted line breaks. A row with too few values has nulls for the rest; one with too many (an unquoted comma) becomes a row without a
url, because nothing says where it went wrong. A column that keeps its type is int64, float64 or bool when all of its values are, else a string
column: that takes a first pass, and numbers that would lose digits (007, 16 digits as a float) stay strings.

pyarrow parses until it meets something that it refuses; from there on Python's csv module reads the same rows with more patience.
"""

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO, TextIO
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from dataset_assets.errors import UnreadableList
from dataset_assets.urls._columns import Columns, text_array
from dataset_assets.urls._text import batched, lines, open_bytes, open_text
from dataset_assets.urls.lists import ListFile, ListOptions, Notes

logger = logging.getLogger(__name__)

MAX_VALUE = 16 << 20  # characters; a longer one is a quote that is never closed
_BLOCK = 4 << 20
#: A last line that is added to every file: when it is not the last row, a quote before it is open.
_END = uuid4().hex
_KINDS = (pa.int64(), pa.float64(), pa.bool_())
#: What an empty value of a column of numbers may look like: pyarrow's list, which is that of pandas.
_NULLS = pa.array(arrow_csv.ConvertOptions().null_values)
_LEADING_ZERO = r"^[+-]?0[0-9xX]"
_MANY_DIGITS = r"^[+-]?[0-9]{16,}$"
_TOO_LONG = "rows with too many values were kept as rows without a url"
_TOO_SHORT = "rows with too few values were filled up with nulls"


class Reader:
    """Reads rows of text."""

    delimiter = ","

    def __init__(self, options: ListOptions) -> None:
        self._columns = Columns(options)

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """See `_base.Reader`."""
        header = self._header(file)
        if not header:
            return
        types = self._types(file, len(header))
        notes, row = Notes(file.name), 1
        for texts in self._texts(file, self._columns.needed, len(header), notes):
            typed = {
                name: _cells(texts[name]).cast(types[name]) if name in types else texts[name]
                for name in texts.column_names
            }
            yield self._columns.from_arrow(pa.table(typed), notes, row)
            row += texts.num_rows
        notes.log()

    def _header(self, file: ListFile) -> list[str]:
        """Read the names of the columns; none when the file is empty."""
        with open_text(file, newline="") as text:
            header = next(self._rows(text, file.name), [])
        if header:
            self._columns.check(header, file.name)
        for name in self._columns.needed:
            if header.count(name) > 1:
                raise UnreadableList(
                    f"{file.name} has more than one column {name!r}; rename one of them"
                )
        return header

    def _types(self, file: ListFile, width: int) -> dict[str, pa.DataType]:
        """Find the columns that are not text."""
        names = self._columns.typed
        kinds = dict.fromkeys(names, _KINDS)
        filled: set[str] = set()
        for texts in self._texts(file, names, width, Notes(file.name)) if names else ():
            for name in names:
                cells = _cells(texts[name]).drop_null()
                if len(cells):
                    filled.add(name)
                    kinds[name] = tuple(kind for kind in kinds[name] if _fits(cells, kind))
        return {name: kinds[name][0] for name in filled if kinds[name]}

    def _texts(
        self, file: ListFile, names: list[str], width: int, notes: Notes
    ) -> Iterator[pa.Table]:
        """Yield some columns as text."""
        done = 0
        try:
            for table in self._parsed_by_arrow(file, names, width):
                yield table
                done += table.num_rows
        except (pa.ArrowInvalid, KeyError) as exc:
            logger.debug("%s: read by Python from row %d on: %s", file.name, done + 1, exc)
        else:
            return
        row = 0
        for table in self._parsed_by_python(file, names, notes):
            row += table.num_rows
            if row > done:
                yield table.slice(max(0, table.num_rows - (row - done)))

    def _parsed_by_arrow(self, file: ListFile, names: list[str], width: int) -> Iterator[pa.Table]:
        parse = arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)
        convert = arrow_csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string())
        )
        read = arrow_csv.ReadOptions(block_size=_BLOCK)
        end = "\n" + self.delimiter.join([_END] * width)
        last: pa.Table | None = None
        with open_bytes(file) as plain:
            for batch in arrow_csv.open_csv(_Blocks(plain, end.encode()), read, parse, convert):
                if batch.num_rows:
                    if last is not None:
                        yield last
                    last = pa.Table.from_batches([batch])
        if last is None or last.column(0)[-1].as_py() != _END:
            raise pa.ArrowInvalid("a quote is never closed")
        if last.num_rows > 1:
            yield last.slice(0, last.num_rows - 1)

    def _parsed_by_python(
        self, file: ListFile, names: list[str], notes: Notes
    ) -> Iterator[pa.Table]:
        with open_text(file, newline="") as text:
            rows = self._rows(text, file.name)
            header = next(rows)
            places = {name: header.index(name) for name in names}
            row = 1
            for batch in batched(rows, lambda values: sum(map(len, values))):
                even = _evened(batch, len(header), notes, row)
                yield pa.table(
                    {
                        name: text_array([values[place] for values in even], notes, row)
                        for name, place in places.items()
                    }
                )
                row += len(batch)

    def _rows(self, text: TextIO, name: str) -> Iterator[list[str]]:
        """Yield the rows that are not blank.

        Raises:
            UnreadableList: a quote is never closed, and the rows after it were taken for its text.
        """
        csv.field_size_limit(MAX_VALUE)
        reader = csv.reader(chain(lines(text, name), [_END]), delimiter=self.delimiter)
        try:
            for values in reader:
                if values == [_END]:
                    return
                if values:
                    yield values
        except csv.Error as exc:
            raise UnreadableList(
                f"{name}: line {reader.line_num}: {exc}; a quote before it is probably never closed"
            ) from exc
        raise UnreadableList(
            f"{name}: a quote is never closed, and all rows after it were taken for its text; close it, or double the quotes in values"
        )


class _Blocks(io.RawIOBase):
    """The bytes of a stream and of a last line, in blocks that pyarrow reads right.

    It drops an LF at the start of a block after a CR at the end of the last, even within quotes; and near a NUL it takes quotes for closed.
    """

    def __init__(self, stream: BinaryIO, last_line: bytes) -> None:
        self._stream, self._last_line = stream, last_line
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._held + self._stream.read(size - len(self._held))
        self._held = b""
        if b"\0" in data:
            raise pa.ArrowInvalid("NUL bytes")
        if not data:
            data, self._last_line = self._last_line, b""
        elif len(data) > 1 and data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        return data


def _evened(
    rows: Sequence[list[str]], width: int, notes: Notes, row: int
) -> Sequence[Sequence[str | None]]:
    """Return rows that all have the same number of values."""
    if {len(values) for values in rows} == {width}:
        return rows
    even: list[Sequence[str | None]] = []
    for number, values in enumerate(rows, start=row):
        if len(values) < width:
            notes.add(_TOO_SHORT, number)
            even.append([*values, *[None] * (width - len(values))])
        elif any(values[width:]):
            notes.add(_TOO_LONG, number)
            even.append([None] * width)
        else:
            even.append(values)
    return even


def _cells(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as cells of a column of numbers: trimmed, and null where empty."""
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(trimmed, _NULLS), pa.scalar(None, pa.string()), trimmed)


def _fits(cells: pa.ChunkedArray, kind: pa.DataType) -> bool:
    if kind != pa.bool_() and pc.any(pc.match_substring_regex(cells, _LEADING_ZERO)).as_py():
        return False
    if kind == pa.float64() and pc.any(pc.match_substring_regex(cells, _MANY_DIGITS)).as_py():
        return False
    try:
        cells.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
