"""Text with one URL per line, whatever its characters. Blank lines are skipped.

Reference: https://github.com/rom1504/img2dataset#api (`input_format="txt"`)
"""

from collections.abc import Iterator

import pyarrow as pa

from dataset_assets.errors import MissingColumn
from dataset_assets.urls.columns import text_array
from dataset_assets.urls.lists import ListFile, ListOptions, Notes
from dataset_assets.urls.text import make_batches, open_text, read_lines


class Reader:
    """Reads lines."""

    def __init__(self, options: ListOptions) -> None:
        asked = [*options.kept_columns, *([options.caption_col] if options.caption_col else [])]
        if asked:
            raise MissingColumn(
                f"a txt list has URLs only: expected no further columns, got {', '.join(asked)}; "
                "use a csv, tsv, json, jsonl or parquet list"
            )

    def read(self, file: ListFile) -> Iterator[pa.Table]:
        """Yield the rows of a list in order."""
        notes = Notes(file.name)
        row = 1
        with open_text(file) as text:
            urls = (url for url in map(str.strip, read_lines(text, file.name)) if url)
            for batch in make_batches(urls, len):
                yield pa.table({"url": text_array(batch, notes, row)})
                row += len(batch)
        notes.log()
