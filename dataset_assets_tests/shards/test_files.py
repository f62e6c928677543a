import json

import pytest

from dataset_assets.records.shards import ShardFile
from dataset_assets.shards.commits import read_record
from dataset_assets.shards.reading import read_rows
from dataset_assets.shards.verify import verify_shard
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import make_row, make_rows, write_files, write_shard


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def test_folder_holds_the_successes_when_some_failed(store):
    rows = make_rows(3, failed=[1])
    files = write_files(store, "files", rows)
    names = [info.key for info in store.list("00003/")]
    assert names == [
        f"00003/{key}.{extension}"
        for key in ("00003000", "00003002")
        for extension in ("jpg", "json", "txt")
    ]
    assert files[0] == ShardFile("00003", sum(store.size(name) for name in names))
    assert files[1].name == "00003.parquet"
    assert store.read("00003/00003002.jpg") == rows[2].payload
    assert json.loads(store.read("00003/00003002.json")) == rows[2].columns
    assert store.read("00003/00003002.txt") == b"caption 2"


def test_nothing_collides_when_a_payload_is_itself_json_or_text(store):
    write_files(
        store,
        "files",
        [make_row(0, payload=b"[]", extension="json"), make_row(1, payload=b"hi", extension="txt")],
    )
    assert store.read("00003/00003000.data.json") == b"[]"
    assert store.read("00003/00003001.data.txt") == b"hi"
    assert json.loads(store.read("00003/00003000.json"))["key"] == "00003000"


def test_shard_stays_when_a_file_manager_left_something_in_its_folder(store):
    rows = make_rows(3)
    record = write_shard(store, "files", rows)
    store.write("00003/.DS_Store", b"junk")
    assert read_record(store, "00003") == record
    assert verify_shard(store, record) == []
    assert [row.payload for row in read_rows(store, record)] == [row.payload for row in rows]


def test_leftovers_of_a_killed_attempt_are_gone_when_the_shard_is_written(store):
    store.write("00003/00003000.png", b"old")
    store.write("00003/00003009.jpg", b"old")
    store.write("00004/00004000.jpg", b"of another shard")
    write_files(store, "files", make_rows(1))
    assert [info.key for info in store.list("00003/")] == [
        "00003/00003000.jpg",
        "00003/00003000.json",
        "00003/00003000.txt",
    ]
    assert store.size("00004/00004000.jpg") == 16
