from dataclasses import asdict

import pytest

from dataset_assets.records.training import MediaSample, TableCell


def test_sample_is_described_by_plain_values():
    cell = TableCell("image", 3)
    sample = MediaSample("a/1", "image", "s3://b/t.parquet", "jpg", cell=cell)
    assert asdict(sample) == {
        "key": "a/1",
        "medium": "image",
        "url": "s3://b/t.parquet",
        "suffix": "jpg",
        "size": None,
        "offset": None,
        "cell": {"column": "image", "row": 3},
        "captions": {},
        "columns": {},
    }


def test_sample_is_frozen():
    sample = MediaSample("a", "video", "a.mp4", "mp4", size=1, captions={"caption": "A goat."})
    with pytest.raises(AttributeError):
        sample.key = "b"
