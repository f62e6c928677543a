"""One JSON object per line: https://jsonlines.org. A line that is not one becomes a row without a url; blank lines are no rows."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from dataset_assets.errors import UnreadableList
from dataset_assets.urls._rows import tables
from dataset_assets.urls._text import batched, lines, open_text
from dataset_assets.urls.lists import ListFile, ListOptions


class Reader:
    """Reads lines of JSON."""

    def __init__(self, options: ListOptions) -> None:
        self._options = options

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """See `_base.Reader`."""
        return tables(partial(_batches, file), self._options, file.name)


def _batches(file: ListFile) -> Iterator[list[Any]]:
    is_first = True
    with open_text(file) as text:
        filled = (line for line in lines(text, file.name) if not line.isspace())
        for batch in batched(filled, len):
            rows = [_parsed(line) for line in batch]
            if is_first and not any(isinstance(each, dict) for each in rows):
                raise UnreadableList(
                    f"{file.name} is not jsonl: none of its first {len(rows)} lines is a JSON object; set input_format to what it is"
                )
            is_first = False
            yield rows


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
