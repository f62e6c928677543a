import io
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.records.training import TableCell
from dataset_assets.training.buckets import Bucket
from dataset_assets.training.sample_table import MeasuredSample, TableSamples, rows_to_table
from dataset_assets.training.sizes import SampleSize
from dataset_assets_tests.training.sample_sets import describe

SAMPLES = [
    replace(describe("a/1", long="x", short="é"), size=5, offset=512, columns={"score": 0.5}),
    replace(describe("a/2"), cell=TableCell("image", 0), columns={"tags": ["a", None]}),
    describe("a/3", "video"),
]
ROWS = [
    MeasuredSample(SAMPLES[0], 5, SampleSize(1, 20, 30), Bucket(1, 256, 256)),
    MeasuredSample(
        describe("bad"), 9, None, None, SampleError(Cause.NOT_IMAGE, "expected an image")
    ),
    MeasuredSample(SAMPLES[1], 5, SampleSize(1, 1, 2), Bucket(1, 256, 256)),
    MeasuredSample(SAMPLES[2], 5, SampleSize(60, 480, 640), Bucket(49, 480, 640)),
]


def through_parquet(table: pa.Table) -> pa.Table:
    body = io.BytesIO()
    pq.write_table(table, body, row_group_size=2)
    return pq.read_table(io.BytesIO(body.getvalue()))


def test_samples_survive_the_table() -> None:
    samples = TableSamples(through_parquet(rows_to_table(ROWS)))
    assert [samples[position] for position in range(len(samples))] == SAMPLES
    assert list(samples[0].captions) == ["long", "short"]
    assert samples.keys() == ["a/1", "a/2", "a/3"]
    assert samples.sizes().tolist() == [[1, 20, 30], [1, 1, 2], [60, 480, 640]]


def test_skipped_samples_keep_their_cause() -> None:
    row = rows_to_table(ROWS).to_pylist()[1]
    assert (row["cause"], row["message"]) == ("not_image", "expected an image")
    assert row["frames"] is row["bucket_width"] is None
    assert json.loads(row["columns"]) == {}


def test_a_table_without_usable_samples_is_empty() -> None:
    samples = TableSamples(rows_to_table(ROWS[1:2]))
    assert len(samples) == 0
    assert samples.sizes().shape == (0, 3)
