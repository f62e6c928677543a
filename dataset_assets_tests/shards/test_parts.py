"""Samples of several payloads: an image with its label map and its annotations."""

from dataclasses import replace

import pyarrow as pa
import pytest

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.shards.reading import read_rows, read_samples, read_values
from dataset_assets.shards.verify import verify_shard
from dataset_assets.shards.writer import index_names
from dataset_assets.storage.store import open_store
from dataset_assets_tests.shards.sample_rows import (
    EXTRA,
    contents,
    make_options,
    make_row,
    make_rows,
    write_files,
    write_shard,
)

PARTS = ("seg.png", "annotations.json")


def rows_with_parts(count=6):
    rows = make_rows(count, failed=[2])
    for index, row in enumerate(rows):
        if row.payload is not None:
            row.parts = {part: f"{part} of {index}".encode() for part in PARTS[: 1 + index % 2]}
    return rows


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "set"))


def test_parts_come_back_when_written(store):
    rows = rows_with_parts()
    record = write_shard(store, "webdataset", rows, parts=PARTS)
    assert verify_shard(store, record) == []
    read = list(read_rows(store, record, extra=EXTRA))
    assert [(row.key, row.columns, row.payload, row.parts) for row in read] == [
        (row.key, row.columns, row.payload, row.parts) for row in rows
    ]


def test_index_says_where_each_part_lies(store):
    record = write_shard(store, "webdataset", rows_with_parts(), parts=PARTS)
    tar = store.read("00003.tar")
    values = {row["key"]: row for row in read_values(store, record)}
    assert list(next(iter(values.values())))[-6:] == [
        "offset",
        "bytes",
        "seg_png_offset",
        "seg_png_bytes",
        "annotations_json_offset",
        "annotations_json_bytes",
    ]
    for sample in read_samples(store, record):
        row = values[sample.key]
        for part in PARTS:
            start, size = (row[f"{part.replace('.', '_')}_{name}"] for name in ("offset", "bytes"))
            assert (None if start is None else tar[start : start + size]) == sample.parts.get(part)


def test_bytes_are_those_of_a_set_without_parts_when_there_are_none(tmp_path):
    stores = [open_store(str(tmp_path / name)) for name in "ab"]
    for store, parts in zip(stores, [(), ()], strict=True):
        write_files(store, "webdataset", make_rows(9, failed=[1]), parts=parts)
    assert contents(stores[0]) == contents(stores[1])
    with_parts = open_store(str(tmp_path / "c"))
    write_files(with_parts, "webdataset", make_rows(9, failed=[1]), parts=PARTS)
    assert with_parts.read("00003.tar") == stores[0].read("00003.tar")


@pytest.mark.parametrize("output_format", ["files", "parquet", "tfrecord"])
def test_formats_with_one_payload_refuse_parts(store, output_format):
    with pytest.raises(ConfigurationError, match="expected 'webdataset' for samples with parts"):
        registry.load("output_format", output_format)(store, make_options(parts=PARTS))


@pytest.mark.parametrize("part", ["seg", "json", "txt", "seg/x.png", "Seg.png", "model.pkl"])
def test_name_of_a_part_is_refused_when_readers_could_mistake_it(part):
    with pytest.raises(ConfigurationError, match="parts: expected an extension with a dot"):
        make_options(parts=(part,))


@pytest.mark.parametrize(
    ("extension", "parts", "said"),
    [("jpg", {"other.png": b"x"}, "other.png"), ("tar.gz", {"seg.png": b"x"}, "tar.gz")],
)
def test_row_is_refused_when_its_parts_do_not_fit(store, extension, parts, said):
    writer = registry.load("output_format", "webdataset")(store, make_options(parts=PARTS))
    row = make_row(0, payload=b"x", extension=extension)
    row.parts = parts
    with pytest.raises(ConfigurationError, match=said):
        writer.write(row)
    writer.discard()


def test_verify_finds_parts_that_the_index_does_not_have(store, tmp_path):
    record = write_shard(store, "webdataset", rows_with_parts(), parts=PARTS)
    other = open_store(str(tmp_path / "other"))
    write_files(other, "webdataset", make_rows(6, failed=[2]), parts=PARTS)
    store.write("00003.parquet", other.read("00003.parquet"))
    files = tuple(
        replace(
            file,
            bytes=store.size(file.name),
            sha256=None if file.name.endswith("x") else file.sha256,
        )
        for file in record.files
    )
    problems = verify_shard(store, replace(record, files=files))
    assert any("the index says {}" in problem for problem in problems)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["key", "offset", "bytes"], {"offset", "bytes"}),
        (
            ["key", "offset", "bytes", "seg_png_offset", "seg_png_bytes"],
            {"offset", "bytes", "seg_png_offset", "seg_png_bytes"},
        ),
        (
            ["seg_png_offset", "seg_png_bytes", "offset", "bytes"],
            {"offset", "bytes"},
        ),  # columns of the input
        (["key", "offset", "bytes", "x"], {"offset", "bytes"}),
        (["key", "offset", "bytes", "x_offset", "y_bytes"], {"offset", "bytes"}),
        (["key"], {"offset", "bytes"}),
    ],
)
def test_index_columns_are_known_by_their_place(names, expected):
    assert index_names(names) == expected
    assert make_options(schema=pa.schema([("key", pa.string())])).table_schema.names[-2:] == [
        "offset",
        "bytes",
    ]
