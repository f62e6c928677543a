import hashlib
import json
import os
import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import ConfigurationError, StorageError
from dataset_assets.splits.plan import ArchiveOptions, plan_files
from dataset_assets.splits.table import TableWriter, check_table, features_of, table_schema
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.splits.archive_samples import (
    COLUMNS,
    image_sample,
    make_sample,
    video,
    write_plan,
    write_table,
)
from dataset_assets_tests.support.failing_store import FailingStore, Steps, raise_at

FILES = [
    make_sample(f"d/{i}", [bytes([i]) * 9], ["bin"], columns={"ok": i > 1, "score": i / 2})
    for i in range(4)
]
KINDS = {
    "frames": ([video(i) for i in range(14)], COLUMNS),
    "image": ([image_sample(i) for i in range(9)], {"caption": "string"}),
    "file": (FILES, {"ok": "bool", "score": "double"}),
}


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return Store(str(tmp_path / "published"))


def write_all(store, media, *, test_split=False):
    """Write the tables of a plan, with the last three samples in the test split."""
    samples, columns = KINDS[media]
    plain = [sample for sample, _ in samples]
    splits = (
        {"train": plain[:-3], "test": plain[-3:]} if test_split else {"train": plain, "test": []}
    )
    payloads = {sample.key: data for sample, data in samples}
    return [
        write_plan(store, plan, payloads, media, columns)
        for plan in plan_files(splits, media, ArchiveOptions(archives=False))
    ]


# columns


def test_features_are_in_the_form_of_old_readers_when_media_are_frames():
    assert features_of("frames", COLUMNS) == {
        "video": {"feature": {"_type": "Image"}, "_type": "Sequence"},
        "n_frames": {"dtype": "int32", "_type": "Value"},
        "key": {"dtype": "string", "_type": "Value"},
        "recording": {"dtype": "string", "_type": "Value"},
        "camera": {"dtype": "string", "_type": "Value"},
    }
    schema = table_schema("frames", COLUMNS)
    assert schema.names == list(features_of("frames", COLUMNS))
    assert json.loads(schema.metadata[b"huggingface"]) == {
        "info": {"features": features_of("frames", COLUMNS)}
    }


def test_types_have_their_own_names_when_columns_are_floats_and_flags():
    found = features_of(
        "image", {"a": "double", "b": "float", "c": "bool", "d": "int64", "e": "uint8"}
    )
    assert [feature.get("dtype") for feature in found.values()] == [
        None,
        "string",
        "float64",
        "float32",
        "bool",
        "int64",
        "uint8",
    ]


def test_every_type_is_one_that_datasets_knows(store):
    datasets = pytest.importorskip("datasets")
    kinds = [
        "string",
        "bool",
        "float",
        "double",
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    ]
    for media in ("image", "frames", "file"):
        columns = {f"c_{kind}": kind for kind in kinds}
        features = datasets.Features.from_dict(features_of(media, columns))
        assert (
            features.arrow_schema.remove_metadata()
            == table_schema(media, columns).remove_metadata()
        )
        assert datasets.Features.from_arrow_schema(table_schema(media, columns)) == features


@pytest.mark.parametrize(
    ("media", "columns", "message"),
    [
        ("image", {"image": "string"}, "column 'image': expected another name"),
        ("file", {"extension": "string"}, "column 'extension': expected another name"),
        ("frames", {"key": "string"}, "column 'key': expected another name"),
        (
            "image",
            {"when": "timestamp[s]"},
            "type of column 'when': expected one of .*, got 'timestamp",
        ),
        ("sound", {}, "media: expected one of image, frames, file"),
    ],
)
def test_columns_are_refused_when_they_do_not_go_together(media, columns, message):
    with pytest.raises(ConfigurationError, match=message):
        table_schema(media, columns)


# writing


@pytest.mark.parametrize("media", KINDS)
def test_table_is_the_same_when_it_is_written_again(store, media):
    samples, columns = KINDS[media]
    one, two = (
        write_table(store, name, samples, media, columns) for name in ("a.parquet", "b.parquet")
    )
    assert store.read(one.name) == store.read(two.name)
    assert one.sha256 == two.sha256 == hashlib.sha256(store.read(one.name)).hexdigest()


def test_row_groups_are_bounded_when_samples_are_many(store):
    samples = [
        make_sample(f"{i:03d}", [os.urandom(size)], ["bin"])
        for i, size in enumerate([4000] * 20 + [50_000] + [10] * 5)
    ]
    file = write_table(store, "a.parquet", samples, "file", {}, row_group_bytes=10_000)
    table = pq.ParquetFile(store.locate(file.name))
    groups = [table.read_row_group(i).to_pylist() for i in range(table.num_row_groups)]
    assert [len(group) for group in groups] == [2] * 10 + [1, 5]  # the large one stands alone
    assert [row["key"] for group in groups for row in group] == [
        sample.key for sample, _ in samples
    ]


def test_row_groups_are_bounded_when_rows_are_small(store, monkeypatch):
    monkeypatch.setattr("dataset_assets.splits.table.GROUP_ROWS", 3)
    file = write_table(store, "a.parquet", FILES, *["file", KINDS["file"][1]])
    assert pq.ParquetFile(store.locate(file.name)).num_row_groups == 2


def test_most_bytes_are_the_same_when_a_row_is_added_in_front(store):
    source = random.Random(0)
    texts = [
        make_sample(f"{i:04d}", [bytes(source.choices(b"abcd", k=20_000))], ["txt"])
        for i in range(300)
    ]
    before, after = (write_table(store, f"{n}.parquet", texts[n:], "file", {}) for n in (1, 0))
    old, new = store.read(before.name), store.read(after.name)
    windows = [
        old[i : i + 24] for i in range(0, len(old) - 24, 5000)
    ]  # compressed, so they are equal only where whole pages are
    assert sum(window in new for window in windows) > 0.7 * len(windows)


@pytest.mark.parametrize("media", ["image", "file"])
def test_sample_is_refused_when_a_row_holds_one_payload_and_it_has_two(store, media):
    with (
        TableWriter(store, "a.parquet", media, {}, ArchiveOptions()) as writer,
        pytest.raises(ConfigurationError, match="expected one payload for a row of a table, got 2"),
    ):
        writer.add(*make_sample("a", [b"1", b"2"], ["jpg", "png"]))


@pytest.mark.parametrize("value", ["text", 2**40, 1.5])
def test_sample_at_fault_is_named_when_a_value_is_not_of_its_type(store, value):
    samples = [make_sample(f"k{i}", [b"1"], ["jpg"], columns={"n": i}) for i in range(5)]
    samples[3] = make_sample("wrong", [b"1"], ["jpg"], columns={"n": value})
    with pytest.raises(
        ConfigurationError, match="column 'n' of sample 'wrong': expected a value of type int32"
    ):
        write_table(store, "a.parquet", samples, "image", {"n": "int32"})
    assert list(store.list()) == []


def test_value_is_none_when_a_sample_lacks_the_column(store):
    write_table(
        store,
        "a.parquet",
        [image_sample(0), make_sample("b", [b"1"], ["png"])],
        "image",
        {"caption": "string"},
    )
    assert pq.read_table(store.locate("a.parquet"))["caption"].to_pylist() == ["picture 0", None]


@pytest.mark.parametrize("step", range(4))
def test_nothing_stays_when_writing_fails(store, step):
    with pytest.raises(StorageError, match="disk"):
        write_table(
            FailingStore(store, raise_at(step, StorageError("disk"))),
            "a.parquet",
            *_arguments("image"),
        )
    assert not any(entry for entry in store.root.rglob("*") if entry.is_file())


def test_nothing_more_is_written_when_a_table_is_given_up(store):
    failing = FailingStore(store, Steps())
    writer = TableWriter(failing, "a.parquet", "image", {}, ArchiveOptions(row_group_bytes=1))
    for sample, payloads in KINDS["image"][0]:
        writer.add(sample, payloads)
    before = list(failing.steps.names)
    writer.discard()
    writer.discard()
    assert failing.steps.names == [*before, "discard a.parquet", "discard a.parquet"]


def _arguments(media):
    return KINDS[media][0], media, KINDS[media][1]


# checking


@pytest.mark.parametrize("media", KINDS)
def test_check_finds_nothing_when_tables_are_sound_and_one_is_empty(store, media):
    files = write_all(store, media)
    assert [file.samples for file in files] == [0, len(KINDS[media][0])]
    assert [problem for file in files for problem in check_table(store, file)] == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bytes": 1}, "a.parquet: expected 1 bytes, got "),
        ({"sha256": "0" * 64}, "a.parquet has changed: expected sha256"),
        ({"members": 3}, "a.parquet: expected 9 rows, got 9"),
        ({"samples": 4}, "a.parquet: expected 4 rows, got 9"),
        ({"name": "b.parquet"}, "b.parquet is missing"),
    ],
)
def test_check_names_table_and_problem_when_it_is_not_what_its_record_says(store, change, problem):
    found = check_table(
        store, replace(write_table(store, "a.parquet", *_arguments("image")), **change)
    )
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize("part", [0, 3, 4, 100, -8, -1])
def test_check_names_the_table_when_it_is_cut(store, part):
    file = write_table(store, "a.parquet", *_arguments("image"))
    store.write("a.parquet", store.read("a.parquet")[: part or None] if part else b"")
    problems = check_table(store, file)
    assert problems[0].startswith(f"{file.name}: expected {file.bytes} bytes, got ")
    assert all(problem.startswith("a.parquet") for problem in problems)


def test_check_says_so_when_another_program_wrote_the_table(store):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    data = sink.getvalue().to_pybytes()
    store.write("a.parquet", data)
    file = replace(
        write_table(store, "b.parquet", *_arguments("image")),
        name="a.parquet",
        bytes=len(data),
        samples=1,
        members=1,
    )
    file = replace(file, sha256=hashlib.sha256(data).hexdigest())
    assert check_table(store, file) == [
        "a.parquet: expected the features of `datasets` in its metadata, got none"
    ]


# other readers


def load(store, tmp_path, *, streaming, split="train"):
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(
        store.url, split=split, streaming=streaming, cache_dir=str(tmp_path / "cache")
    )


@pytest.mark.parametrize("streaming", [False, True])
def test_videos_are_lists_of_images_when_datasets_loads_a_folder_without_a_card(
    store, tmp_path, streaming
):
    write_all(store, "frames", test_split=True)
    rows = [
        row
        for split in ("train", "test")
        for row in load(store, tmp_path, streaming=streaming, split=split)
    ]
    expected = KINDS["frames"][0]
    assert [row["key"] for row in rows] == [sample.key for sample, _ in expected]
    for row, (sample, payloads) in zip(rows, expected, strict=True):
        assert row["n_frames"] == len(row["video"]) == len(payloads)
        assert [frame.tobytes() for frame in row["video"]] == [
            payload[-48:] for payload in payloads
        ]
        assert row["video"][0].size == (8, 6)
        assert (row["recording"], row["camera"]) == (
            sample.columns["recording"],
            sample.columns["camera"],
        )


@pytest.mark.parametrize("streaming", [False, True])
def test_payloads_are_images_when_datasets_loads_a_folder_without_a_card(
    store, tmp_path, streaming
):
    write_all(store, "image", test_split=True)
    rows = list(load(store, tmp_path, streaming=streaming))
    assert [row["image"].getpixel((0, 0)) for row in rows] == list(range(6))
    assert rows[2]["caption"] == "picture 2"


@pytest.mark.parametrize("streaming", [False, True])
def test_files_are_bytes_when_datasets_loads_a_folder_without_a_card(store, tmp_path, streaming):
    write_all(store, "file", test_split=True)
    rows = list(load(store, tmp_path, streaming=streaming, split="test"))
    assert rows[0] == {
        "file": {"bytes": b"\x01" * 9, "path": "1.bin"},
        "extension": "bin",
        "key": "d/1",
        "ok": False,
        "score": 0.5,
    }


@pytest.mark.parametrize("media", KINDS)
def test_empty_split_streams_with_the_features_of_the_others(store, tmp_path, media):
    write_all(store, media)
    full, empty = (
        load(store, tmp_path, streaming=True, split=split) for split in ("train", "test")
    )
    assert (len(list(full)), list(empty)) == (len(KINDS[media][0]), [])
    assert full.features == empty.features


def test_empty_split_must_not_be_announced_when_datasets_loads_all_splits_at_once(store, tmp_path):
    datasets = pytest.importorskip("datasets")
    write_all(store, "image")
    with pytest.raises(
        ValueError, match="corresponds to no data"
    ):  # in every version so far: cards leave an empty split out
        load(store, tmp_path, streaming=False, split=None)
    files = {"train": [store.locate("data/train-00000-of-00001.parquet")]}
    found = datasets.load_dataset(store.url, data_files=files, cache_dir=str(tmp_path / "cache2"))
    assert {split: len(rows) for split, rows in found.items()} == {"train": 9}
