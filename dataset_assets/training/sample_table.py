"""The Parquet table of a training set: where each sample is, its size, and its bucket or a cause.

key, medium, url, suffix          as in `MediaSample`
size, offset                      of the payload, where they are known
cell_column, cell_row             of a payload that is a value of a Parquet file
captions                          column -> text
columns                           other columns, as JSON
frames, height, width             as stored; null if it cannot be decoded
bucket_frames, _height, _width    null if it has no bucket
cause, message                    why it has none
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dataset_assets.records.staged import SampleError
from dataset_assets.records.training import MediaSample, TableCell
from dataset_assets.training.buckets import Bucket
from dataset_assets.training.sizes import SampleSize

_SIDES = ("frames", "height", "width")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "medium", "url", "suffix")),
        *((name, pa.int64()) for name in ("size", "offset")),
        ("cell_column", pa.string()),
        ("cell_row", pa.int64()),
        ("captions", pa.map_(pa.string(), pa.string())),
        ("columns", pa.string()),
        *((name, pa.int64()) for name in _SIDES),
        *((f"bucket_{name}", pa.int64()) for name in _SIDES),
        *((name, pa.string()) for name in ("cause", "message")),
    ]
)


@dataclass(frozen=True, slots=True)
class MeasuredSample:
    """A row of the table."""

    sample: MediaSample
    bytes: int
    """Of the payload."""
    size: SampleSize | None
    bucket: Bucket | None
    error: SampleError | None = None


def rows_to_table(rows: Iterable[MeasuredSample]) -> pa.Table:
    """Return the table of some rows."""
    return pa.Table.from_pylist([_row(each) for each in rows], SCHEMA)


class TableSamples:
    """The samples of a table that have a bucket, made when asked. Can be sent to processes."""

    def __init__(self, table: pa.Table) -> None:
        with_bucket = table.filter(pc.is_valid(table["bucket_width"]))
        self._table = with_bucket.combine_chunks()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, position: int) -> MediaSample:
        """Return a sample."""
        row: Mapping[str, Any] = self._table.slice(position, 1).to_pylist()[0]
        cell = None
        if row["cell_row"] is not None:
            cell = TableCell(row["cell_column"], row["cell_row"])
        return MediaSample(
            row["key"],
            row["medium"],
            row["url"],
            row["suffix"],
            row["size"],
            row["offset"],
            cell,
            dict(row["captions"]),
            json.loads(row["columns"]),
        )

    def keys(self) -> list[str]:
        """Return the key of each sample."""
        keys: list[str] = self._table["key"].to_pylist()
        return keys

    def sizes(self) -> NDArray[np.int64]:
        """Return (samples, 3) frames, height and width of each sample."""
        columns = [self._table[name].to_numpy() for name in _SIDES]
        return np.stack(columns, axis=1).astype(np.int64)


def _row(measured: MeasuredSample) -> dict[str, Any]:
    sample = measured.sample
    cell = sample.cell
    error = measured.error
    row = {
        "key": sample.key,
        "medium": sample.medium,
        "url": sample.url,
        "suffix": sample.suffix,
        "size": sample.size,
        "offset": sample.offset,
        "cell_column": cell and cell.column,
        "cell_row": cell and cell.row,
        "captions": list(sample.captions.items()),
        "columns": json.dumps(dict(sample.columns), ensure_ascii=False),
        "cause": error and error.cause.value,
        "message": error and error.message,
    }
    size = measured.size or (None,) * 3
    bucket = measured.bucket or (None,) * 3
    buckets = (f"bucket_{name}" for name in _SIDES)
    return row | dict(zip((*_SIDES, *buckets), (*size, *bucket), strict=True))
