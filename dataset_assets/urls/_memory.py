"""Lists in memory: URLs, dictionaries, pandas or Arrow tables, or any iterable of batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from dataset_assets.errors import ConfigurationError, UnreadableList
from dataset_assets.urls.columns import Columns, checked_urls, text_array
from dataset_assets.urls.lists import BATCH_BYTES, BATCH_ROWS, ListOptions, Notes, UrlList
from dataset_assets.urls.rows import tables

NAME = "memory"
_EXPECTED = (
    "a path or URL, URLs, dictionaries, a pandas DataFrame, a pyarrow Table or record batches"
)


def memory_list(source: Any, options: ListOptions) -> UrlList:
    """Describe a list in memory. An iterator can be read only once.

    Raises:
        ConfigurationError: the source is of a type that cannot be read.
    """
    return UrlList(NAME, lambda: checked_urls(_read(source, options), options.url_col, NAME))


def _read(source: Any, options: ListOptions) -> Iterator[pa.Table]:
    if isinstance(source, (pa.Table, pa.RecordBatch)):
        return _from_arrow([source], options)
    if hasattr(source, "to_dict") and hasattr(source, "columns"):
        return _from_pandas(source, options)
    if not isinstance(source, Iterable) or isinstance(source, (bytes, Mapping)):
        raise ConfigurationError(f"url_list: expected {_EXPECTED}, got {type(source).__name__}")
    items = iter(source)
    head = []
    for item in items:
        head.append(item)
        if item is not None:
            break
    kind = head[-1] if head else None
    if isinstance(kind, (pa.Table, pa.RecordBatch)):
        return _from_arrow(chain(head, items), options)
    if kind is None or isinstance(kind, str):
        return _from_urls(chain(head, items), options)
    if isinstance(kind, Mapping) and isinstance(source, Sequence):
        return tables(partial(_batches, source), options, NAME)
    hint = "; put the dictionaries in a list" if isinstance(kind, Mapping) else ""
    raise ConfigurationError(
        f"url_list: expected {_EXPECTED}, got {type(source).__name__} of "
        f"{type(kind).__name__}{hint}"
    )


def _from_urls(urls: Iterable[str | None], options: ListOptions) -> Iterator[pa.Table]:
    Columns(options).check([options.url_col], "a list of URLs in memory")
    notes = Notes(NAME)
    row = 1
    items = iter(urls)
    while batch := list(islice(items, BATCH_ROWS)):
        yield pa.table({"url": text_array(batch, notes, row)})
        row += len(batch)


def _batches(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[first : first + BATCH_ROWS] for first in range(0, len(rows), BATCH_ROWS))


def _from_pandas(frame: Any, options: ListOptions) -> Iterator[pa.Table]:
    columns = Columns(options)
    columns.check(frame.columns, "the DataFrame")
    needed = frame[columns.needed]
    try:
        return _from_arrow([pa.Table.from_pandas(needed, preserve_index=False)], options)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # columns of mixed values
        return tables(partial(_batches, needed.to_dict("records")), options, NAME)


def _from_arrow(
    parts: Iterable[pa.Table | pa.RecordBatch], options: ListOptions
) -> Iterator[pa.Table]:
    columns = Columns(options)
    notes = Notes(NAME)
    row = 1
    schema: pa.Schema | None = None
    for part in parts:
        columns.check(part.schema.names, "the table")
        rows = max(1, min(BATCH_ROWS, BATCH_BYTES * part.num_rows // max(part.nbytes, 1)))
        for first in range(0, part.num_rows, rows):
            table = columns.from_arrow(part.slice(first, rows), notes, row)
            schema = schema or table.schema
            if table.schema != schema:
                raise UnreadableList(
                    f"record batches: expected {_describe(schema)}, got {_describe(table.schema)} "
                    f"at row {row}; cast them to one schema"
                )
            yield table
            row += table.num_rows
    notes.log()


def _describe(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
