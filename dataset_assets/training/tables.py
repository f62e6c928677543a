"""Small tables of rows: csv, json, jsonl, parquet and arrow files, read whole.

Text of a csv stays text. A json document is a list of objects, or an object with such a list under
"data". Specifications: RFC 4180, RFC 8259, https://jsonlines.org,
https://parquet.apache.org/docs/file-format/, https://arrow.apache.org/docs/format/Columnar.html
"""

import csv
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import UnreadableSource
from dataset_assets.records.typed_json import load_json

#: Key of the rows in a json document that is an object.
DATA = "data"
Row = dict[str, Any]


class Table(NamedTuple):
    """Rows and the names of their columns, in the order of the file."""

    columns: list[str]
    rows: list[Row]


def read_rows(data: bytes, suffix: str, where: str) -> Table:
    """Read all rows of a file.

    Args:
        data: the bytes of the file.
        suffix: its format, one of `FORMATS`.
        where: its address, for errors.

    Raises:
        UnreadableSource: the file is not of its format, or its rows have no names.
    """
    try:
        rows = FORMATS[suffix](data)
    except (ValueError, csv.Error, pa.ArrowException, OSError) as exc:
        reason = " ".join(str(exc).split())
        raise UnreadableSource(
            f"{where}: expected a file of rows in the format {suffix}, got another: "
            f"{reason}; correct it"
        ) from exc
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Table(columns, rows)


def _csv(data: bytes) -> list[Row]:
    lines = csv.reader(io.StringIO(str(data, "utf-8-sig"), newline=""), strict=True)
    header = [name.strip() for name in next(lines, [])]
    if not header or len(set(header)) != len(header) or "" in header:
        raise ValueError(f"expected a first line of distinct column names, got {header}")
    rows = []
    for values in lines:
        if not values:
            continue
        if len(values) != len(header):
            raise ValueError(
                f"expected {len(header)} values in line {lines.line_num}, got {len(values)}; quote "
                "values that have commas"
            )
        rows.append(dict(zip(header, values, strict=True)))
    return rows


def _json(data: bytes) -> list[Row]:
    document = load_json(data)
    rows = document.get(DATA) if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise ValueError(
            f"expected a list of objects, or an object with such a list under {DATA!r}"
        )
    return [_checked_row(row, f"element {number}") for number, row in enumerate(rows)]


def _jsonl(data: bytes) -> list[Row]:
    lines = enumerate(data.splitlines(), 1)
    return [_json_line(line, number) for number, line in lines if line.strip()]


def _json_line(line: bytes, number: int) -> Row:
    try:
        return _checked_row(load_json(line), "an object")
    except ValueError as exc:
        raise ValueError(f"line {number}: {exc}") from exc


def _checked_row(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: expected an object, got {type(row).__name__}")
    return row


def _parquet(data: bytes) -> list[Row]:
    rows: list[Row] = pq.read_table(pa.BufferReader(data)).to_pylist()
    return rows


def _arrow(data: bytes) -> list[Row]:
    """Read an IPC file, or the stream that `datasets` writes."""
    is_file = data.startswith(b"ARROW1")
    read: Callable[[bytes], Any] = pa.ipc.open_file if is_file else pa.ipc.open_stream
    with read(data) as reader:
        rows: list[Row] = reader.read_all().to_pylist()
    return rows


#: Suffix -> how it is read.
FORMATS: dict[str, Callable[[bytes], list[Row]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "arrow": _arrow,
}
