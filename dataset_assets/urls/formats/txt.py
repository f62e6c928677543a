"""Text with one url per line: https://github.com/rom1504/img2dataset#api (`input_format="txt"`).

A line is a url whatever is in it, commas and quotes too. Blank lines are no rows.
"""

from collections.abc import Iterator

import pyarrow as pa

from dataset_assets.errors import MissingColumn
from dataset_assets.urls._columns import text_array
from dataset_assets.urls._text import batched, lines, open_text
from dataset_assets.urls.lists import ListFile, ListOptions, Notes


class Reader:
    """Reads lines."""

    def __init__(self, options: ListOptions) -> None:
        asked = [*options.kept_columns, *([options.caption_col] if options.caption_col else [])]
        if asked:
            raise MissingColumn(
                f"a txt list has urls only, but {', '.join(asked)} is asked for; give a csv, tsv, json, jsonl or parquet list"
            )

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """See `_base.Reader`."""
        notes, row = Notes(file.name), 1
        with open_text(file) as text:
            urls = (url for url in map(str.strip, lines(text, file.name)) if url)
            for batch in batched(urls, len):
                yield pa.table({"url": text_array(batch, notes, row)})
                row += len(batch)
        notes.log()
