import json
import multiprocessing

import numpy as np
import pytest

import dataset_assets
from dataset_assets.errors import ConfigurationError, MissingColumn, ObjectMissing, ShardCorrupt
from dataset_assets.loaders.samples.shard_rows import PAYLOAD, ShardRows
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.remote_store import RemoteStore
from dataset_assets_tests.loaders.staged_partitions import PARTS, SetSpec, mask, payload, write_set

SPEC = SetSpec(counts=(4, 0, 3, 5), failed=2)


@pytest.fixture(scope="module", params=[True, False], ids=["staged", "sidecars"])
def rows(request, tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("set")))
    write_set(
        store,
        SetSpec(
            **{name: getattr(SPEC, name) for name in ("counts", "failed")}, staged=request.param
        ),
    )
    return ShardRows(store)


def test_successes_are_listed_in_order_when_opened(rows):
    assert len(rows) == 12
    assert rows.keys == [f"s{number:06}" for number in range(12)]
    assert rows.counts.tolist() == [4, 0, 3, 5]
    assert rows.shard.tolist() == [0] * 4 + [2] * 3 + [3] * 5
    assert rows.parts == PARTS
    assert rows.column("label").tolist() == list(range(12))


def test_members_are_the_bytes_that_were_written_when_read(rows):
    for number in range(12):
        members = rows.read(number)
        assert members.pop(PAYLOAD) == payload(SPEC, number)
        assert members.pop("seg.png") == mask(SPEC, number)
        assert members == ({"annotations.json": b"[]"} if number % 2 else {})


def test_only_the_named_parts_are_read(rows):
    assert set(rows.read(3, ["seg.png"])) == {PAYLOAD, "seg.png"}
    assert set(rows.read(3, [])) == {PAYLOAD}


def test_missing_column_is_named(rows):
    with pytest.raises(MissingColumn, match="no column 'nothing': expected one of key, .*label"):
        rows.column("nothing")


def test_opening_takes_few_requests_when_staged(tmp_path):
    write_set(Store(str(tmp_path / "set")), SetSpec(counts=(5,) * 30))
    remote = RemoteStore(tmp_path / "set", tmp_path / "log")
    rows = ShardRows(remote)
    rows.check_shards()
    assert len(remote.requests()) <= 5
    rows.read(77)
    assert remote.requests()[-1:] == ["read 00015.tar"]
    assert len(remote.requests()) <= 6


def test_digest_is_equal_when_the_set_is_stored_elsewhere(tmp_path):
    for name, spec in (("a", SPEC), ("b", SPEC), ("c", SetSpec(counts=(4, 0, 3, 6)))):
        write_set(Store(str(tmp_path / name)), spec)
    a, b, c = (ShardRows(str(tmp_path / name)).digest for name in "abc")
    assert a == b != c
    assert len(a) == 16


def _labels(rows, results):
    results.put(rows.column("label").sum() + len(rows.read(5)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_rows_work_in_another_process_when_passed_to_it(tmp_path, method):
    write_set(Store(str(tmp_path)), SPEC)
    context = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    process = context.Process(target=_labels, args=(ShardRows(str(tmp_path)), results))
    process.start()
    assert results.get() == 66 + 3
    process.join()


def _tamper_index(store):
    store.write("index.parquet", b"x" + store.read("index.parquet")[1:])


def _drop_shard_of_index(store):
    raw = json.loads(store.read("manifest.json"))
    shard = raw["shards"][0]
    shard["successes"] -= 1
    shard["causes"]["http_not_found"] = shard["causes"].get("http_not_found", 0) + 1
    store.write("manifest.json", json.dumps(raw).encode())


def _foreign_extra_files(store):
    raw = json.loads(store.read("manifest.json"))
    raw["extra_files"] = [{"nom": "index.parquet"}]
    store.write("manifest.json", json.dumps(raw).encode())


def _other_format(store):
    raw = json.loads(store.read("manifest.json"))
    raw["output_format"] = "tfrecord"
    del raw["extra_files"]
    store.write("manifest.json", json.dumps(raw).encode())


@pytest.mark.parametrize(
    ("damage", "error", "match"),
    [
        (
            _tamper_index,
            ShardCorrupt,
            r"index.parquet differs from its sha256 in manifest.json: stage it again",
        ),
        (
            lambda store: store.delete("index.parquet"),
            ShardCorrupt,
            "index.parquet is missing, but manifest.json lists it",
        ),
        (
            _drop_shard_of_index,
            ShardCorrupt,
            r"00000.tar: the index has 4 samples, manifest.json says 3",
        ),
        (_foreign_extra_files, ShardCorrupt, "manifest.json: expected a manifest"),
        (
            _other_format,
            ConfigurationError,
            "expected shards of the format 'webdataset'.*got 'tfrecord'",
        ),
        (lambda store: store.delete("manifest.json"), ObjectMissing, "manifest.json"),
    ],
)
def test_set_is_refused_when_damaged(tmp_path, damage, error, match):
    store = Store(str(tmp_path))
    write_set(store, SPEC)
    damage(store)
    with pytest.raises(error, match=match):
        ShardRows(store)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (None, "00002.tar is missing, expected 20480 bytes as in manifest.json"),
        (100, "00002.tar has 100 bytes"),
    ],
)
def test_shard_is_named_when_it_differs_from_its_record(tmp_path, change, match):
    store = Store(str(tmp_path))
    write_set(store, SPEC)
    rows = ShardRows(store)
    rows.check_shards()
    body = store.read("00002.tar")
    store.delete("00002.tar")
    if change:
        store.write("00002.tar", body[:change])
    with pytest.raises(ShardCorrupt, match=match):
        rows.check_shards()


def test_read_is_refused_when_the_shard_is_truncated(tmp_path):
    store = Store(str(tmp_path))
    write_set(store, SPEC)
    rows = ShardRows(store)
    store.write("00003.tar", store.read("00003.tar")[:1000])
    with pytest.raises(
        ShardCorrupt, match=r"00003.tar has no bytes 14848 to 17927: stage it again"
    ):
        rows.read(int(np.flatnonzero(rows.shard == 3)[-1]))


def test_columns_of_one_sample_are_python_values(rows):
    assert rows.values(5, ("label", "key")) == {"label": 5, "key": "s000005"}


def test_staged_rows_is_another_name():
    assert dataset_assets.StagedRows is dataset_assets.ShardRows is ShardRows
