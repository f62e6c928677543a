from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.rows import RowFields, Sample
from dataset_assets.records.fetching import FetchOutcome, Media


def values(column):
    table = pa.table({"url": ["http://h/x"] * len(column), "when": column})
    fields = RowFields(table, DownloadOptions())
    media = Sample(Media(payload=b"x", extension="jpg"))
    outcome = FetchOutcome(
        token=None,
        body=b"x",
        cause=None,
        message=None,
        http_status=200,
        content_type="image/jpeg",
        url="http://h/x",
    )
    return [
        fields.row(index, str(index), outcome, media).columns["when"]
        for index in range(len(column))
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.timestamp("ns"), datetime(1970, 1, 1, 0, 0, 2, 1)),
        (pa.timestamp("ns", "UTC"), datetime(1970, 1, 1, 0, 0, 2, 1, tzinfo=UTC)),
        (pa.duration("ns"), timedelta(seconds=2, microseconds=1)),
        (pa.time64("ns"), datetime(1970, 1, 1, 0, 0, 2, 1).time()),
    ],
)
def test_nanoseconds_stay_exact_when_python_has_no_type_for_them(kind, expected):
    whole = pa.array([2_000_001_000, None]).cast(kind)
    finer = pa.array([2_000_001_001, None]).cast(kind)
    assert values(whole) == [expected, None]
    assert values(finer) == [2_000_001_001, None]
    assert pa.array(values(whole), kind) == whole
    assert pa.array(values(finer), kind) == finer
