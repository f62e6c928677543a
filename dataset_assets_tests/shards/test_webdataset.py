import io
import itertools
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_assets.archives.tar_header import SHARD
from dataset_assets.archives.tar_writer import TarWriter
from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards.formats.webdataset import Writer
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import SCHEMA, make_row, make_rows, write_files


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def members(store, name="00003.tar"):
    with tarfile.open(store.locate(name)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}


def samples_by_webdataset(store, decode=False):
    import webdataset

    found = webdataset.WebDataset(store.locate("00003.tar"), shardshuffle=False, empty_check=False)
    return list(found.decode() if decode else found)


def test_members_are_the_successes_in_row_order_when_some_failed(store):
    write_files(store, "webdataset", make_rows(5, failed=[0, 3]))
    keys = ["00003001", "00003002", "00003004"]
    assert list(members(store)) == [
        f"{key}.{extension}" for key in keys for extension in ("jpg", "json", "txt")
    ]


@pytest.mark.parametrize(
    ("extension", "names"),
    [
        ("webp", ["json", "txt", "webp"]),
        ("png", ["json", "png", "txt"]),
        ("jpg", ["jpg", "json", "txt"]),
        ("json", ["data.json", "json", "txt"]),
        ("txt", ["data.txt", "json", "txt"]),
        ("PKL", ["json", "pkl.bin", "txt"]),
        ("", ["bin", "json", "txt"]),
    ],
)
def test_members_of_a_sample_are_sorted_by_extension_when_payloads_differ(store, extension, names):
    write_files(store, "webdataset", [make_row(0, payload=b"x", extension=extension)])
    assert list(members(store)) == [f"00003000.{name}" for name in names]


def test_there_is_no_caption_member_when_there_are_no_captions(store):
    write_files(store, "webdataset", make_rows(1), has_caption=False)
    assert list(members(store)) == ["00003000.jpg", "00003000.json"]


def test_caption_member_is_empty_when_the_caption_is_missing(store):
    write_files(store, "webdataset", [make_row(0, payload=b"x", caption=None)])
    assert members(store)["00003000.txt"] == b""


def test_payload_is_one_range_read_when_the_index_is_used(store):
    rows = make_rows(40, failed=[5])
    files = write_files(store, "webdataset", rows)
    for row, found in zip(
        rows, pq.read_table(store.locate(files[1].name)).to_pylist(), strict=True
    ):
        if row.payload is None:
            assert (found["offset"], found["bytes"]) == (None, None)
        else:
            assert store.read("00003.tar", found["offset"], found["bytes"]) == row.payload


CAPTION = "caf\u00e9 \U0001f600\0"
OLD_SCHEMA = pa.schema(
    [
        ("score", pa.float64()),
        ("n", pa.int64()),
        ("tags", pa.list_(pa.string())),
        ("caption", pa.string()),
        ("url", pa.string()),
    ]
    + [(name, pa.string()) for name in ("key", "status", "error_message")]
    + [(name, pa.int32()) for name in ("width", "height", "original_width", "original_height")]
    + [("exif", pa.string()), ("sha256", pa.string())]
)


def old_row(index, status, message=None):
    ok = status == "success"
    size = (
        {"width": 32, "height": 32, "original_width": 60, "original_height": 40}
        if ok
        else dict.fromkeys(("width", "height", "original_width", "original_height"))
    )
    columns = {
        "score": 0.25 * index,
        "n": index,
        "tags": ["a", str(index)],
        "caption": CAPTION,
        "url": f"http://127.0.0.1/{index}",
    }
    columns |= {
        "key": f"0000000{index}",
        "status": status,
        "error_message": message,
        **size,
        "exif": "{}" if ok else None,
        "sha256": "ab" if ok else None,
    }
    return Row(index, columns["key"], columns, {}, b"jpeg" if ok else None, "jpg", CAPTION)


def test_bytes_are_those_of_img2dataset_when_its_layout_is_asked_for(store):
    rows = [
        old_row(0, "success"),
        old_row(1, "failed_to_download", "HTTP Error 404: Not Found"),
        old_row(2, "success"),
    ]
    write_files(store, "webdataset", rows, name="00000", schema=OLD_SCHEMA, with_index=False)
    found = members(store, "00000.tar")
    # literals: the output of img2dataset 1.47.0 for such rows
    assert list(found) == [
        "00000000.jpg",
        "00000000.json",
        "00000000.txt",
        "00000002.jpg",
        "00000002.json",
        "00000002.txt",
    ]
    assert found["00000000.txt"] == b"caf\xc3\xa9 \xf0\x9f\x98\x80\x00"
    assert found["00000000.json"] == (
        b'{\n    "score": 0.0,\n    "n": 0,\n    "tags": [\n        "a",\n        "0"\n    ],\n'
        b'    "caption": "caf\\u00e9 \\ud83d\\ude00\\u0000",\n'
        b'    "url": "http://127.0.0.1/0",\n    "key": "00000000",\n'
        b'    "status": "success",\n    "error_message": null,\n    "width": 32,\n'
        b'    "height": 32,\n    "original_width": 60,\n    "original_height": 40,\n'
        b'    "exif": "{}",\n    "sha256": "ab"\n}'
    )
    assert str(pq.read_schema(store.locate("00000.parquet"))) == (
        "score: double\nn: int64\ntags: list<element: string>\n  child 0, element: string\n"
        "caption: string\nurl: string\nkey: string\n"
        "status: string\nerror_message: string\nwidth: int32\nheight: int32\n"
        "original_width: int32\noriginal_height: int32\n"
        "exif: string\nsha256: string"
    )
    with tarfile.open(store.locate("00000.tar")) as tar:
        member = tar.getmembers()[0]
    assert (member.mode, member.uid, member.gid, member.uname, member.gname, member.mtime) == (
        0o444,
        0,
        0,
        "bigdata",
        "bigdata",
        0,
    )


def test_samples_are_read_by_webdataset_when_written(store):
    rows = make_rows(12, failed=[4])
    write_files(store, "webdataset", rows)
    found = samples_by_webdataset(store)
    assert [(s["__key__"], s["jpg"], s["txt"].decode()) for s in found] == [
        (r.key, r.payload, r.caption) for r in rows if r.payload is not None
    ]
    assert [json.loads(s["json"]) for s in found] == [
        r.columns for r in rows if r.payload is not None
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_webdataset_reads_a_tar_when_it_has_hardly_a_sample(store, count):
    write_files(store, "webdataset", make_rows(count))
    assert len(samples_by_webdataset(store)) == count


def test_webdataset_decodes_any_file_and_unpickles_none_when_extensions_come_from_urls(
    store, tmp_path
):
    pickled = b"cbuiltins\nopen\n(S'" + str(tmp_path / "pwned").encode() + b"'\nS'w'\ntR."
    given = {
        "json": b'{"a": 1}',
        "txt": b"text",
        "pkl": pickled,
        "pyd": pickled,
        "pickle": pickled,
        "pth": pickled,
        "mp3": b"ID3",
    }
    rows = [
        make_row(i, payload=data, extension=extension)
        for i, (extension, data) in enumerate(given.items())
    ]
    write_files(store, "webdataset", rows)
    found = samples_by_webdataset(store, decode=True)
    assert len(found) == len(rows)
    assert found[0]["data.json"] == {"a": 1}
    assert found[1]["data.txt"] == "text"
    assert (
        found[2]["pkl.bin"]
        == found[3]["pyd.bin"]
        == found[4]["pickle.bin"]
        == found[5]["pth.bin"]
        == pickled
    )
    assert [sample["json"]["key"] for sample in found] == [row.key for row in rows]
    assert not (tmp_path / "pwned").exists()


def test_samples_are_streamed_by_datasets_when_written(store, tmp_path, monkeypatch):
    import datasets
    import numpy as np
    from PIL import Image

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = []
    for index in range(8):
        picture = io.BytesIO()
        Image.fromarray(np.full((4, 6, 3), index * 20, np.uint8)).save(picture, "PNG")
        caption = ["plain", "\ud800", None, "\0", "é😀", "x" * 100_000, "a\nb", ""][index]
        rows.append(
            make_row(
                index,
                payload=None if index == 6 else picture.getvalue(),
                caption=caption,
                extension="png",
            )
        )
    write_files(store, "webdataset", rows)
    stream = datasets.load_dataset(
        "webdataset", data_files=store.locate("00003.tar"), split="train", streaming=True
    )
    found = list(itertools.islice(stream, 20))
    assert [sample["__key__"] for sample in found] == [
        row.key for row in rows if row.payload is not None
    ]
    assert [sample["txt"] for sample in found] == [
        "plain",
        "\\ud800",
        "",
        "\0",
        "é😀",
        "x" * 100_000,
        "",
    ]
    assert found[3]["png"].size == (6, 4)
    assert found[1]["json"]["caption"] == "\\ud800"


def test_sample_is_refused_when_members_of_it_are_missing(store):
    for names in (
        ["1.jpg"],
        ["1.json"],
        ["1.jpg", "1.png", "1.json"],
        ["1.jpg", "1.json", "1.json"],
    ):
        with store.stage("x.tar") as staged:
            tar = TarWriter(staged, SHARD)
            tar.add([(name, b"{}") for name in names])
            tar.finish()
            staged.commit()
        with pytest.raises(
            ShardCorrupt, match=r"expected one payload and one 1\.json for sample 1"
        ):
            list(Writer.samples(store, ShardFile("x.tar", store.size("x.tar"), "")))


def test_options_schema_is_that_of_the_sidecar_when_index_is_off(store):
    write_files(store, "webdataset", make_rows(2), with_index=False)
    assert pq.read_schema(store.locate("00003.parquet")).equals(SCHEMA)
