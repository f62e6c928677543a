import json
import threading

import pytest

from dataset_assets.errors import (
    ConfigurationError,
    ObjectMissing,
    PlanMismatch,
    ShardCorrupt,
    ShardIncomplete,
    StorageError,
)
from dataset_assets.records.causes import Cause
from dataset_assets.shards.commits import (
    list_records,
    read_manifest,
    read_record,
    write_manifest,
    write_record,
)
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import make_record, make_rows, write_shard
from dataset_assets_tests.support.failing_store import FailingStore, Steps

RECORD = "00003_stats.json"


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


@pytest.fixture
def shard(store):
    return write_shard(store, "webdataset", make_rows(20, failed=[3, 4]))


def manifest(store):
    return write_manifest(store, fingerprint="f", output_format="webdataset")


def test_record_is_read_back_when_the_shard_is_whole(store, shard):
    assert read_record(store, "00003") == shard
    assert list_records(store) == [shard]


def test_record_starts_with_the_keys_of_img2dataset_when_written(store, shard):
    raw = store.read(RECORD)
    names = [
        "count",
        "successes",
        "failed_to_download",
        "failed_to_resize",
        "duration",
        "start_time",
        "end_time",
        "status_dict",
    ]
    assert list(json.loads(raw))[:8] == names
    assert raw.startswith(b'{\n    "count": 20,\n    "successes": 18,\n')


def test_shard_does_not_exist_when_there_is_no_record(store, shard):
    store.delete(RECORD)
    assert read_record(store, "00003") is None
    assert list_records(store) == []


def broken_records(data: bytes):
    raw = json.loads(data)
    file = raw["files"][0]
    return {
        "empty": b"",
        "cut": data[:-2],
        "half": data[: len(data) // 2],
        "not json": b"\xff\xfe\0",
        "deep": b"[" * 100_000,
        "null": b"null",
        "list": b"[1, 2]",
        "text": b'"x"',
        "img2dataset's": json.dumps({name: raw[name] for name in list(raw)[:8]}).encode(),
        "of another shard": json.dumps({**raw, "name": "00004"}).encode(),
        "unknown key": json.dumps({**raw, "more": 1}).encode(),
        "missing key": json.dumps({name: raw[name] for name in raw if name != "shard_id"}).encode(),
        "text count": json.dumps({**raw, "count": "20"}).encode(),
        "no sizes": json.dumps({**raw, "files": [{**file, "bytes": None}]}).encode(),
        "files are text": json.dumps({**raw, "files": ["00003.tar"]}).encode(),
        "files null": json.dumps({**raw, "files": None}).encode(),
        "causes list": json.dumps({**raw, "causes": [1]}).encode(),
        "outside": json.dumps({**raw, "files": [{**file, "name": "../00003.tar"}]}).encode(),
        "hidden outside": json.dumps(
            {**raw, "files": [{**file, "name": "00003.x/../../y"}]}
        ).encode(),
        "another's file": json.dumps({**raw, "files": [{**file, "name": "00004.tar"}]}).encode(),
        "wrong size": json.dumps({**raw, "files": [{**file, "bytes": file["bytes"] + 1}]}).encode(),
        "huge": json.dumps({**raw, "files": [{**file, "bytes": 2**70}]}).encode(),
    }


def test_shard_does_not_exist_when_its_record_is_cut_or_not_ours(store, shard):
    broken = broken_records(store.read(RECORD))
    for data in broken.values():
        store.write(RECORD, data)
        assert read_record(store, "00003") is None
        assert list_records(store) == []
    assert len(broken) == 22


@pytest.mark.parametrize("name", ["00003.tar", "00003.parquet"])
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-512],
        lambda data: data + bytes(10_240),
        lambda data: None,
        lambda data: b"",
    ],
)
def test_shard_does_not_exist_when_a_file_disagrees_in_size(store, shard, name, change):
    data = change(store.read(name))
    store.delete(name) if data is None else store.write(name, data)
    assert read_record(store, "00003") is None
    assert list_records(store) == []


def test_shard_does_not_exist_when_a_folder_of_files_lost_bytes(store):
    record = write_shard(store, "files", make_rows(5))
    assert read_record(store, "00003") == record
    store.write("00003/00003004.jpg", b"")
    assert read_record(store, "00003") is None
    assert list_records(store) == []


def test_foreign_files_are_passed_over_when_they_lie_in_the_folder(store, shard):
    for name in (
        "notes.json",
        "00009.tar",
        "x_stats.json",
        "sub/00001_stats.json",
        "00004_stats.json.bak",
    ):
        store.write(name, b'{"hello": "world"}')
    assert list_records(store) == [shard]
    assert manifest(store).shards == (shard,)


def test_records_are_in_shard_order_when_names_have_different_lengths(store):
    for name in ("99999", "100000", "00002"):
        write_shard(store, "webdataset", make_rows(2), name=name)
    assert [record.shard_id for record in list_records(store)] == [2, 99999, 100000]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"successes": 19}, "20 rows, but 19 successes and 2 failures"),
        ({"causes": {"too_slow": 1}}, "2 failures, but 1 causes"),
    ],
)
def test_record_is_refused_when_rows_are_not_accounted_for(store, changes, message):
    with pytest.raises(ShardIncomplete, match=message):
        write_record(store, make_record(make_rows(20, failed=[1, 2]), (), **changes))
    assert read_record(store, "00003") is None


def test_manifest_is_read_back_when_written(store, shard):
    write_shard(store, "webdataset", make_rows(7, failed=[0]), name="00001")
    written, read = manifest(store), read_manifest(store)
    assert (read.fingerprint, read.output_format, read.rows, read.successes) == (
        "f",
        "webdataset",
        27,
        24,
    )
    assert read.causes == {Cause.HTTP_NOT_FOUND: 3}
    assert [(s.name, s.files, s.count, s.failed_to_download) for s in read.shards] == [
        (s.name, s.files, s.count, s.failed_to_download) for s in written.shards
    ]
    assert read.to_json() == written.to_json() == store.read("manifest.json")


def test_manifest_is_not_written_when_it_is_up_to_date(store, shard):
    manifest(store)
    counted = FailingStore(store, Steps())
    write_manifest(counted, fingerprint="f", output_format="webdataset")
    assert counted.steps.names == []


def test_manifest_is_written_when_there_is_no_shard(store):
    assert manifest(store).shards == read_manifest(store).shards == ()


def test_manifest_has_all_shards_when_an_older_list_was_put_over_a_newer_one(store, shard):
    class Late(FailingStore):
        """Another writer commits and writes its manifest between our listing and our writing."""

        def write(self, key, data, *, durable=True):
            if not self.steps.names:
                write_shard(self._store, "webdataset", make_rows(3), name="00007")
                manifest(self._store)
            super().write(key, data, durable=durable)

    late = Late(store, Steps())
    write_manifest(late, fingerprint="f", output_format="webdataset")
    assert late.steps.names == ["write manifest.json"] * 2
    assert [entry.name for entry in read_manifest(store).shards] == ["00003", "00007"]


def test_manifest_has_all_shards_when_writers_run_at_once(store):
    def work(first):
        for number in range(first, first + 5):
            write_shard(own, "webdataset", make_rows(1), name=f"{number:05d}")
            try:
                manifest(own)
            except StorageError:
                manifest(own)

    own = Store(str(store.root))
    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.shard_id for entry in read_manifest(store).shards] == list(range(15))


def test_writer_gives_up_when_another_run_has_other_options(store, shard):
    class Contested(FailingStore):
        def write(self, key, data, *, durable=True):
            self._store.write(key, b"of the other run")

    with pytest.raises(PlanMismatch, match="another run with other options"):
        write_manifest(Contested(store, Steps()), fingerprint="f", output_format="webdataset")


def test_manifest_is_missing_when_nothing_was_finished(store):
    with pytest.raises(ObjectMissing):
        read_manifest(store)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"schema_version": 1, "shards": 3, "fingerprint": "", "output_format": ""}',
    ],
)
def test_manifest_is_corrupt_when_it_is_not_one(store, data):
    store.write("manifest.json", data)
    with pytest.raises(ShardCorrupt, match=r"manifest\.json: expected a manifest"):
        read_manifest(store)


def test_manifest_is_refused_when_a_newer_version_wrote_it(store):
    store.write(
        "manifest.json",
        b'{"schema_version": 99, "shards": [], "fingerprint": "f", "output_format": "webdataset"}',
    )
    with pytest.raises(ConfigurationError, match="upgrade dataset-assets"):
        read_manifest(store)
