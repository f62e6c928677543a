"""The reader here follows the published formats and shares nothing with the writer."""

import struct
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import ConfigurationError, MissingDependency, ShardCorrupt
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards._tf_example import encode_example, encode_features
from dataset_assets.shards.formats.tfrecord import Writer
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import make_options, make_row, make_rows, write_files


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    while data:
        (length,), (length_crc,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        body, (body_crc,) = (
            data[12 : 12 + length],
            struct.unpack("<I", data[12 + length : 16 + length]),
        )
        assert (length_crc, body_crc) == (masked(data[:8]), masked(body))
        yield body
        data = data[16 + length :]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        assert tag & 7 == 2
        length, at = varint(data, at)
        yield tag >> 3, data[at : at + length]
        at += length


def values(feature):
    [(kind, content)] = fields(feature)
    if kind == 1:
        return "bytes", [value for _, value in fields(content)]
    [(_, packed)] = fields(content)
    if kind == 2:
        return "float", list(struct.unpack(f"<{len(packed) // 4}f", packed))
    out, at = [], 0
    while at < len(packed):
        value, at = varint(packed, at)
        out.append(value - 2**64 if value >= 2**63 else value)
    return "int64", out


def parse(example):
    [(_, features)] = fields(example)
    entries = [dict(fields(entry)) for _, entry in fields(features)]
    return {entry[1].decode(): values(entry[2]) for entry in entries}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ("bytes", [b""])),
        ("é", ("bytes", ["é".encode()])),
        ("\ud800", ("bytes", [b"\\ud800"])),
        (b"\xff", ("bytes", [b"\xff"])),
        (0, ("int64", [0])),
        (True, ("int64", [1])),
        (-1, ("int64", [-1])),
        (2**63 - 1, ("int64", [2**63 - 1])),
        (-(2**63), ("int64", [-(2**63)])),
        (2**63, ("bytes", [b"9223372036854775808"])),
        (0.5, ("float", [0.5])),
        (1e300, ("float", [float("inf")])),
        (-1e300, ("float", [float("-inf")])),
        ([1, 300, -5], ("int64", [1, 300, -5])),
        ([0.5, -2.0], ("float", [0.5, -2.0])),
        (["a", None, b"c"], ("bytes", [b"a", b"", b"c"])),
        ([1, None], ("bytes", [b"1", b""])),
        ([], ("bytes", [])),
        (np.array([1, 2]), ("int64", [1, 2])),
        (np.float64(0.25), ("float", [0.25])),
        ("x" * 300, ("bytes", [b"x" * 300])),
        ({"a": 1}, ("bytes", [b"{'a': 1}"])),
    ],
)
def test_value_becomes_the_list_that_fits_when_encoded(value, expected):
    assert parse(encode_example(encode_features([("name", value)]))[0]) == {"name": expected}


def test_examples_hold_every_column_when_read_by_the_book(store):
    rows = make_rows(6, failed=[2])
    write_files(store, "tfrecord", rows)
    found = [parse(record) for record in records(store.read("00003.tfrecord"))]
    assert len(found) == 5
    assert list(found[0]) == [
        "key",
        "jpg",
        "txt",
        "score",
        "caption",
        "url",
        "status",
        "error_message",
        "width",
        "height",
        "exif",
        "sha256",
    ]
    for row, example in zip([row for row in rows if row.payload is not None], found, strict=True):
        assert example["key"] == ("bytes", [row.key.encode()])
        assert example["jpg"] == ("bytes", [row.payload])
        assert example["txt"] == ("bytes", [row.caption.encode()])
        assert example["score"] == ("float", [row.columns["score"]])
        assert example["width"] == ("int64", [256])
        assert example["error_message"] == ("bytes", [b""])


def test_payload_is_one_range_read_when_the_index_is_used(store):
    rows = [
        make_row(i, payload=bytes([i]) * size)
        for i, size in enumerate([0, 1, 100, 127, 128, 300, 16_384, 70_000, 2_100_000])
    ]
    write_files(store, "tfrecord", rows)
    for row, found in zip(
        rows, pq.read_table(store.locate("00003.parquet")).to_pylist(), strict=True
    ):
        assert store.read("00003.tfrecord", found["offset"], found["bytes"]) == row.payload


@pytest.mark.parametrize("name", ["jpg", "txt"])
def test_column_is_refused_when_it_has_the_name_of_a_feature(store, name):
    schema = pa.schema([("key", pa.string()), (name, pa.string())])
    with pytest.raises(ConfigurationError, match=f"column '{name}': expected another name"):
        Writer(store, make_options(schema=schema))
    assert list(store.list()) == []


def test_message_names_the_extra_when_the_checksum_package_is_missing(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(MissingDependency, match=r"pip install 'dataset-assets\[tfrecord\]'"):
        Writer(store, make_options())
    assert list(store.list()) == []


@pytest.mark.parametrize("at", [0, 9, 12, 14, 700, -1])
def test_reading_refuses_a_file_when_a_byte_changed(store, at):
    files = write_files(store, "tfrecord", make_rows(3))
    data = bytearray(store.read(files[0].name))
    data[at] ^= 0x10
    store.write(files[0].name, bytes(data))
    with pytest.raises(ShardCorrupt, match=r"00003\.tfrecord"):
        list(Writer.samples(store, files[0]))


@pytest.mark.parametrize("keep", [1, 11, 12, 500, -1])
def test_reading_refuses_a_file_when_it_is_cut(store, keep):
    files = write_files(store, "tfrecord", make_rows(3))
    store.write(files[0].name, store.read(files[0].name)[:keep])
    with pytest.raises(ShardCorrupt, match=r"00003\.tfrecord"):
        list(Writer.samples(store, files[0]))


@pytest.mark.parametrize(
    "example",
    [
        b"",
        b"\x0a",
        b"\x0a\x7f\x0a",
        b"hello, world",
        encode_example(encode_features([("key", 1)]))[0],
    ],
)
def test_reading_refuses_a_record_when_it_is_no_sample(store, example):
    import google_crc32c

    def crc(data):
        value = google_crc32c.value(data)
        return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(example))
    store.write("x.tfrecord", length + crc(length) + example + crc(example))
    with pytest.raises(ShardCorrupt, match=r"x\.tfrecord: no valid example at byte 12"):
        list(Writer.samples(store, ShardFile("x.tfrecord", 16 + len(example), "")))


def test_row_without_metadata_is_readable_when_it_has_only_a_key(store):
    writer = Writer(
        store, make_options(schema=pa.schema([("key", pa.string())]), has_caption=False)
    )
    writer.write(Row(0, "k", {"key": "k"}, {}, b"x", "jpg"))
    files = writer.commit()
    assert [(s.key, s.extension, s.payload) for s in Writer.samples(store, files[0])] == [
        ("k", "jpg", b"x")
    ]
