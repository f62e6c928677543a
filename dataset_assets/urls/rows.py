"""From rows that are dictionaries (json, jsonl, in memory) to tables.

A column gets a type that holds all of its values, so columns that keep their type are read once
before the first table is made. If the values have no common type, it is a string column, in which
other values are JSON.

A list without dictionaries whose entries are strings is a list of URLs: it has one column.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from dataset_assets.errors import UnreadableList
from dataset_assets.urls.columns import Columns, text_array, value_text
from dataset_assets.urls.lists import ListOptions, Notes

#: Returns the rows in batches, from the start. What is no dictionary could not be parsed.
Batches = Callable[[], Iterator[Sequence[Any]]]
_SHOWN = 80  # characters of an entry in an error
_NO_COMMON_TYPE = (
    pa.ArrowInvalid,
    pa.ArrowTypeError,
    pa.ArrowNotImplementedError,
    OverflowError,
    UnicodeEncodeError,
)
_NOT_ROWS = "entries that are not JSON objects were kept as rows without a URL"
_NOT_URLS = "entries that are not strings were kept as rows without a URL"


def tables(batches: Batches, options: ListOptions, name: str) -> Iterator[pa.Table]:
    """Yield one table per batch.

    Raises:
        MissingColumn: a column is in no row of the first batch.
        UnreadableList: no entry of the first batch is a row or a URL.
    """
    columns = Columns(options)
    stream = batches()
    first = next(stream, [])
    whole = chain([first], stream) if first else stream
    if _are_urls(first, name):
        columns.check([options.url_col], f"{name}, a list of URLs,")
        return _tables_of_urls(whole, name)
    types = _types(batches(), columns.typed) if columns.typed else {}
    return _tables_of_rows(whole, columns, types, name)


def _are_urls(entries: Sequence[Any], name: str) -> bool:
    """Tell whether the first entries of a list are URLs and not dictionaries."""
    present = [each for each in entries if each is not None]
    if not present or any(isinstance(each, Mapping) for each in present):
        return False
    if any(isinstance(each, str) for each in present):
        return True
    raise UnreadableList(
        f"{name}: expected JSON objects or URLs, got {value_text(present[0])[:_SHOWN]}; make each "
        "row an object with names, or set input_format to the format of the list"
    )


def _tables_of_urls(batches: Iterator[Sequence[Any]], name: str) -> Iterator[pa.Table]:
    notes = Notes(name)
    row = 1
    for batch in batches:
        urls = [each if isinstance(each, str) else None for each in batch]
        broken = [number for number, each in enumerate(urls) if each is None]
        if broken:
            notes.add(_NOT_URLS, row + broken[0], len(broken))
        yield pa.table({"url": text_array(urls, notes, row)})
        row += len(batch)
    notes.log()


def _tables_of_rows(
    batches: Iterator[Sequence[Any]], columns: Columns, types: Mapping[str, pa.DataType], name: str
) -> Iterator[pa.Table]:
    notes = Notes(name)
    row = 1
    for batch in batches:
        rows = [each if isinstance(each, Mapping) else {} for each in batch]
        if row == 1 and any(rows):
            columns.check(dict.fromkeys(key for each in rows for key in each), name)
        broken = [number for number, each in enumerate(batch) if not isinstance(each, Mapping)]
        if broken:
            notes.add(_NOT_ROWS, row + broken[0], len(broken))
        yield columns.from_values(
            {source: [each.get(source) for each in rows] for source in columns.needed},
            types,
            notes,
            row,
        )
        row += len(batch)
    notes.log()


def _types(batches: Iterator[Sequence[Any]], names: Sequence[str]) -> dict[str, pa.DataType]:
    found: dict[str, pa.DataType] = dict.fromkeys(names, pa.null())
    for batch in batches:
        for name in names:
            if found[name] != pa.string():
                values = [each.get(name) for each in batch if isinstance(each, Mapping)]
                found[name] = _common_type(found[name], values)
    return {name: kind if _is_storable(kind) else pa.string() for name, kind in found.items()}


def _common_type(found: pa.DataType, values: Sequence[Any]) -> pa.DataType:
    try:
        kinds = [pa.schema([("", kind)]) for kind in (found, pa.array(values).type)]
        return pa.unify_schemas(kinds, promote_options="permissive").field(0).type
    except _NO_COMMON_TYPE:
        return pa.string()


def _is_storable(kind: pa.DataType) -> bool:
    """Tell whether Parquet can store a type: no column of nulls only, no structs without fields."""
    if pa.types.is_null(kind):
        return False
    children = [kind.field(index) for index in range(kind.num_fields)]
    return all(_is_storable(child.type) for child in children) and not (
        pa.types.is_struct(kind) and not children
    )
