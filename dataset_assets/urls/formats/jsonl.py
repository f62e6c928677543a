"""One JSON object per line, or one JSON string per line: a URL. Blank lines are skipped.

Any other line becomes a row without a URL.

Specification: https://jsonlines.org
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from dataset_assets.errors import UnreadableList
from dataset_assets.urls.lists import ListFile, ListOptions
from dataset_assets.urls.rows import tables
from dataset_assets.urls.text import make_batches, open_text, read_lines


class Reader:
    """Reads lines of JSON."""

    def __init__(self, options: ListOptions) -> None:
        self._options = options

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """Yield the rows of a list in order."""
        return tables(partial(_batches, file), self._options, file.name)


def _batches(file: ListFile) -> Iterator[list[Any]]:
    is_first = True
    with open_text(file) as text:
        filled = (line for line in read_lines(text, file.name) if not line.isspace())
        for batch in make_batches(filled, len):
            rows = [_parsed(line) for line in batch]
            if is_first and not any(isinstance(each, (dict, str)) for each in rows):
                raise UnreadableList(
                    f"{file.name} is not jsonl: none of its first {len(rows)} lines is a JSON "
                    "object or URL; set input_format to its format"
                )
            is_first = False
            yield rows


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
