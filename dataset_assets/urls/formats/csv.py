"""Comma-separated values with a header line.

Values may have quoted line breaks. A row with too few values gets nulls; one with too many (an
unquoted comma) becomes a row without a URL, since the place of the error is unknown. A column that
keeps its type is int64, float64 or bool if all of its values are, else a string column. This takes
a first pass, and numbers that would lose digits (007, 16 digits as a float) stay strings.

A quote at the start of a value that is text and not syntax takes the rows up to the next quote into
that value. A value with line breaks that looks like rows is therefore noted, and with `quoting`
"none" quotes mean nothing.

pyarrow parses up to the first row that it refuses; from there on the csv module of Python, which is
more tolerant, reads the same rows.

Specification: https://www.rfc-editor.org/rfc/rfc4180
"""

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO, Literal, TextIO
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from dataset_assets.errors import UnreadableList
from dataset_assets.urls.columns import Columns, text_array
from dataset_assets.urls.lists import QUOTED, ListFile, ListOptions, Notes
from dataset_assets.urls.text import make_batches, open_bytes, open_text, read_lines

logger = logging.getLogger(__name__)

MAX_VALUE = 16 << 20  # characters; a longer one has an open quote
_BLOCK = 4 << 20
#: Added to every file as its last line: if it is not the last row, a quote before it is open.
_END = uuid4().hex
_KINDS = (pa.int64(), pa.float64(), pa.bool_())
#: Empty values of a column of numbers: the list of pyarrow, which is that of pandas.
_NULLS = pa.array(arrow_csv.ConvertOptions().null_values)
_LEADING_ZERO = r"^[+-]?0[0-9xX]"
_MANY_DIGITS = r"^[+-]?[0-9]{16,}$"
_TOO_LONG = "rows with too many values were kept as rows without a URL"
_TOO_SHORT = "rows with too few values were filled with nulls"
_SWALLOWED = (
    "quoted values with line breaks that look like rows; if quotes are text in this list, rows are "
    "missing: set quoting to 'none'"
)


class Reader:
    """Reads rows of text."""

    delimiter = ","

    def __init__(self, options: ListOptions) -> None:
        self._columns = Columns(options)
        self._is_quoted = options.quoting == QUOTED

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """Yield the rows of a list in order."""
        header = self._header(file)
        if not header:
            return
        types = self._types(file, len(header))
        notes = Notes(file.name)
        row = 1
        for texts in self._texts(file, self._columns.needed, len(header), notes):
            columns = {name: texts[name] for name in texts.column_names}
            for name in types.keys() & columns.keys():
                columns[name] = _as_cells(columns[name]).cast(types[name])
            yield self._columns.from_arrow(pa.table(columns), notes, row)
            row += texts.num_rows
        notes.log()

    def _header(self, file: ListFile) -> list[str]:
        """Read the names of the columns; none if the file is empty."""
        with open_text(file, newline="") as text:
            header = next(self._rows(text, file.name), [])
        if header:
            self._columns.check(header, file.name)
        return header

    def _types(self, file: ListFile, width: int) -> dict[str, pa.DataType]:
        """Find the columns that are not text."""
        names = self._columns.typed
        kinds = dict.fromkeys(names, _KINDS)
        filled: set[str] = set()
        for texts in self._texts(file, names, width, Notes(file.name)) if names else ():
            for name in names:
                cells = _as_cells(texts[name]).drop_null()
                if len(cells):
                    filled.add(name)
                    kinds[name] = tuple(kind for kind in kinds[name] if _fits(cells, kind))
        return {name: kinds[name][0] for name in filled if kinds[name]}

    def _texts(
        self, file: ListFile, names: list[str], width: int, notes: Notes
    ) -> Iterator[pa.Table]:
        """Yield columns as text."""
        done = 0
        try:
            for table in self._parse_with_arrow(file, names, width, notes):
                yield table
                done += table.num_rows
        except (pa.ArrowInvalid, KeyError) as exc:
            logger.debug(
                "%s: read with the csv module from row %d on: %s", file.name, done + 1, exc
            )
        else:
            return
        row = 0
        for table in self._parse_with_csv(file, names, notes):
            row += table.num_rows
            if row > done:
                yield table.slice(max(0, table.num_rows - (row - done)))

    def _parse_with_arrow(
        self, file: ListFile, names: list[str], width: int, notes: Notes
    ) -> Iterator[pa.Table]:
        parse = arrow_csv.ParseOptions(
            delimiter=self.delimiter,
            quote_char='"' if self._is_quoted else False,
            newlines_in_values=self._is_quoted,
        )
        convert = arrow_csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string())
        )
        read = arrow_csv.ReadOptions(block_size=_BLOCK)
        end = "\n" + self.delimiter.join([_END] * width)
        last: pa.Table | None = None
        rows = 0
        with open_bytes(file) as plain:
            blocks = _Blocks(plain, end.encode())
            for batch in arrow_csv.open_csv(blocks, read, parse, convert):
                rows += batch.num_rows
                if batch.num_rows:
                    if last is not None:
                        yield last
                    last = pa.Table.from_batches([batch])
        if last is None or last.column(0)[-1].as_py() != _END:
            raise pa.ArrowInvalid("a quote is not closed")
        if last.num_rows > 1:
            yield last.slice(0, last.num_rows - 1)
        # Only needed columns were parsed, and rows may be in another one.
        if self._is_quoted and blocks.lines > rows:
            self._find_swallowed(file, notes)

    def _find_swallowed(self, file: ListFile, notes: Notes) -> None:
        """Read a list again to note values that look like rows."""
        with open_text(file, newline="") as text:
            rows = self._rows(text, file.name)
            header = next(rows)
            for number, values in enumerate(rows, start=1):
                self._note_swallowed(values, len(header), notes, number)

    def _note_swallowed(self, values: list[str], width: int, notes: Notes, row: int) -> None:
        if self._is_quoted and any(self._looks_like_rows(value, width) for value in values):
            notes.add(_SWALLOWED, row)

    def _looks_like_rows(self, value: str, width: int) -> bool:
        """Tell whether a line of a value has a URL, or as many values as a row."""
        if "\n" not in value and "\r" not in value:
            return False
        least = max(1, width - 1)
        return "://" in value or any(
            line.count(self.delimiter) >= least for line in value.splitlines()
        )

    def _parse_with_csv(self, file: ListFile, names: list[str], notes: Notes) -> Iterator[pa.Table]:
        with open_text(file, newline="") as text:
            rows = self._rows(text, file.name)
            header = next(rows)
            places = {name: header.index(name) for name in names}
            row = 1
            for batch in make_batches(rows, lambda values: sum(map(len, values))):
                for number, values in enumerate(batch, start=row):
                    self._note_swallowed(values, len(header), notes, number)
                even = _fill_rows(batch, len(header), notes, row)
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
            UnreadableList: a quote is not closed, so the rows after it are part of its text.
        """
        csv.field_size_limit(MAX_VALUE)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._is_quoted else csv.QUOTE_NONE
        lines = chain(read_lines(text, name), [_END])
        reader = csv.reader(lines, delimiter=self.delimiter, quoting=quoting)
        try:
            for values in reader:
                if values == [_END]:
                    return
                if values:
                    yield values
        except csv.Error as exc:
            raise UnreadableList(
                f"{name}: line {reader.line_num}: {exc}; a quote before it is probably not closed:"
                " close it, or set quoting to 'none' if quotes are text in this list"
            ) from exc
        raise UnreadableList(
            f"{name}: a quote is not closed, so all rows after it are part of its text; close it, "
            "double the quotes in values, or set quoting to 'none' if quotes are text in this list"
        )


class _Blocks(io.RawIOBase):
    """The bytes of a stream and of a last line, in blocks that pyarrow reads correctly.

    pyarrow drops an LF at the start of a block after a CR at the end of the previous one, even in
    quotes, and considers quotes near a NUL closed.
    """

    lines = 0  # read so far, without the last line, however quoted

    def __init__(self, stream: BinaryIO, last_line: bytes) -> None:
        self._stream = stream
        self._last_line = last_line
        self._is_line_complete = True
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._held + self._stream.read(size - len(self._held))
        self._held = b""
        if b"\0" in data:
            raise pa.ArrowInvalid("NUL bytes")
        if not data:
            self.lines += not self._is_line_complete
            self._is_line_complete = True
            last_line = self._last_line
            self._last_line = b""
            return last_line
        if len(data) > 1 and data.endswith(b"\r"):
            data = data[:-1]
            self._held = b"\r"
        self.lines += data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
        self._is_line_complete = data.endswith((b"\n", b"\r"))
        return data


def _fill_rows(
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


def _as_cells(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as cells of a column of numbers: trimmed, and null if empty."""
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
