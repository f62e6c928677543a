"""Validation sets: the examples of finetrainers, every format, typed fields, any replicas."""

import json
import logging
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from dataset_assets.errors import (
    ConfigurationError,
    EmptyList,
    MissingColumn,
    ObjectMissing,
    UnreadableSource,
)
from dataset_assets.storage.store import open_store
from dataset_assets.training.validation import open_validation_set, parse_validation_set
from dataset_assets.training.validation_set import MissingFile, ValidationSample
from dataset_assets_tests.training.validation_examples import CSV, GOAT, GOAT_PATH, JSON

EXPECTED = (
    ValidationSample(
        GOAT,
        video_path=GOAT_PATH,
        num_inference_steps=50,
        height=480,
        width=768,
        num_frames=49,
        frame_rate=25,
    ),
    ValidationSample(
        "<SECOND_CAPTION>",
        video_path="/path/to/second.mp4",
        num_inference_steps=50,
        height=512,
        width=704,
        num_frames=161,
        frame_rate=25,
    ),
)
ROWS = json.loads(JSON)["data"]


def _arrow_file(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _parquet(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def _arrow_of_datasets(tmp_path):
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    return next((tmp_path / "saved").glob("*.arrow")).read_bytes()


@pytest.mark.parametrize(("data", "suffix"), [(CSV, "csv"), (JSON, "json")], ids=["csv", "json"])
def test_examples_of_the_documentation(data, suffix):
    assert parse_validation_set(data.encode(), suffix, "validation") == EXPECTED


def test_every_format(tmp_path):
    table = pa.Table.from_pylist(ROWS)
    gaps = pa.table(
        {**{name: table[name] for name in table.column_names}, "image_path": [None] * 2}
    )
    files = {
        "jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
        "parquet": _parquet(table),
        "arrow": _arrow_file(gaps),
    }
    for suffix, data in files.items():
        assert parse_validation_set(data, suffix, "validation") == EXPECTED, suffix
    assert parse_validation_set(_arrow_of_datasets(tmp_path), "arrow", "validation") == EXPECTED


def test_sample_as_trainers_take_it():
    sample = parse_validation_set(CSV.encode(), "csv", "validation")[1]
    assert sample.to_dict() == {
        "caption": "<SECOND_CAPTION>",
        "prompt": "<SECOND_CAPTION>",
        "video_path": "/path/to/second.mp4",
        "num_inference_steps": 50,
        "height": 512,
        "width": 704,
        "num_frames": 161,
        "frame_rate": 25,
    }


def test_missing_files_of_the_example(tmp_path, caplog):
    path = tmp_path / "validation.json"
    path.write_text(JSON)
    with pytest.raises(UnreadableSource, match=r"second.mp4 \(row 1, video_path\); correct the pa"):
        open_validation_set(str(path))
    with caplog.at_level(logging.WARNING):
        found = open_validation_set(str(path), missing_files="warning")
    assert found.missing == (
        MissingFile(0, "video_path", GOAT_PATH),
        MissingFile(1, "video_path", "/path/to/second.mp4"),
    )
    assert [sample.video_path for sample in found.samples] == [None, None]
    assert "the rows are used without them" in caplog.text


def test_files_of_the_example(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "goat.mp4").write_bytes(b"goat")
    (videos / "second.mp4").write_bytes(b"second")
    text = CSV.replace(GOAT_PATH, "videos/goat.mp4").replace(
        "/path/to/second.mp4", str(videos / "second.mp4")
    )
    path = tmp_path / "validation.csv"
    path.write_text(text)
    found = open_validation_set(str(path))
    assert found.missing == ()
    paths = [sample.video_path for sample in found.samples]
    assert paths == [str(videos / "goat.mp4"), str(videos / "second.mp4")]


def test_files_in_stores_and_on_the_web(tmp_path):
    store = open_store(f"memory://{tmp_path.name}/validation")
    store.write("a.jpg", b"image")
    row = {
        "caption": "A goat.",
        "image_path": "a.jpg",
        "control_image_path": f"{store.url}/a.jpg",
        "video_path": "https://example.org/a.mp4",
        "control_video_path": f"{store.url}/b.mp4",
    }
    store.write("rows.jsonl", json.dumps(row).encode())
    found = open_validation_set(f"{store.url}/rows.jsonl", missing_files="warning")
    assert found.samples[0] == ValidationSample(
        "A goat.",
        image_path=f"{store.url}/a.jpg",
        control_image_path=f"{store.url}/a.jpg",
        video_path="https://example.org/a.mp4",
    )
    assert [each.field for each in found.missing] == ["control_video_path"]


def test_values_that_count_as_missing():
    row = {"caption": " A goat. ", "height": float("nan"), "width": None, "num_frames": " "}
    table = pa.Table.from_pylist([{**row, "guidance": 3.5, "note": ""}])
    (sample,) = parse_validation_set(_parquet(table), "parquet", "v")
    assert sample == ValidationSample("A goat.", columns={"guidance": 3.5})
    assert sample.to_dict() == {"caption": "A goat.", "prompt": "A goat.", "guidance": 3.5}


def test_numbers_of_columns_with_gaps():
    """pandas writes 49.0 where another row has no value."""
    data = b"caption,num_frames,frame_rate\nA goat.,49.0,23.976\nA mouse.,,\n"
    first, second = parse_validation_set(data, "csv", "v")
    assert (first.num_frames, first.frame_rate) == (49, 23.976)
    assert type(first.num_frames) is int
    assert (second.num_frames, second.frame_rate) == (None, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height": "tall"}, "v, row 0: height: expected an integer above 0, got 'tall'; correct"),
        ({"height": 480.5}, "height: expected an integer above 0, got 480.5"),
        ({"num_frames": 0}, "num_frames: expected an integer above 0, got 0"),
        ({"num_frames": True}, "num_frames: expected an integer above 0, got True"),
        ({"frame_rate": -25}, "frame_rate: expected a number above 0, got -25"),
        ({"video_path": 3}, "video_path: expected text, got 3"),
        ({"caption": ""}, "v, row 0: expected a caption, got none"),
        ({"caption": 7}, "caption: expected text, got 7"),
    ],
)
def test_wrong_values(values, message):
    data = json.dumps({"data": [{"caption": "A goat.", **values}]}).encode()
    with pytest.raises(UnreadableSource, match=message):
        parse_validation_set(data, "json", "v")


def test_wrong_files(tmp_path):
    with pytest.raises(MissingColumn, match="v: expected a column 'caption', got prompt; add it"):
        parse_validation_set(b"prompt\nA goat.", "csv", "v")
    with pytest.raises(EmptyList, match="expected rows to validate with, got none"):
        parse_validation_set(b'{"data": []}', "json", "v")
    with pytest.raises(UnreadableSource, match="or an object with such a list under 'data'"):
        parse_validation_set(b'{"rows": []}', "json", "v")
    with pytest.raises(UnreadableSource, match="expected a file of the formats csv, json, jsonl,"):
        parse_validation_set(b"", "txt", "v")
    with pytest.raises(UnreadableSource, match="expected a file of rows in the format arrow"):
        parse_validation_set(b"ARROW1", "arrow", "v")
    with pytest.raises(ObjectMissing):
        open_validation_set(str(tmp_path / "none.csv"))
    with pytest.raises(ConfigurationError, match="missing_files: expected one of error, warning"):
        open_validation_set(str(tmp_path / "none.csv"), missing_files="ignore")


def test_columns_do_not_replace_fields():
    (sample,) = parse_validation_set(b'{"data": [{"caption": "a", "columns": 1}]}', "json", "v")
    assert asdict(sample)["columns"] == {"columns": 1}
    assert sample.to_dict()["columns"] == 1
