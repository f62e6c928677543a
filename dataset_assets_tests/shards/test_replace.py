import os

import pytest

from dataset_assets.errors import DiskFull, ShardCorrupt, ShardIncomplete
from dataset_assets.shards.commits import read_record
from dataset_assets.shards.replace import replace_shard, replacement_store, roll_forward
from dataset_assets.shards.verify import verify_shard
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import (
    contents,
    make_record,
    make_rows,
    write_files,
    write_shard,
)
from dataset_assets_tests.support.failing_store import (
    FailingStore,
    Killed,
    Steps,
    die_at,
    distinct,
    every,
    raise_at,
)

OLD = make_rows(6, failed=[1, 2])
NEW = make_rows(6, seed=7, failed=[2])
FORMATS = ("webdataset", "files", "parquet", "tfrecord")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "set"))


def replace(store, output_format, rows=NEW):
    record = make_record(
        rows, write_files(replacement_store(store, "00003"), output_format, rows), end_time=2.0
    )
    replace_shard(store, record)
    return record


def whole(tmp_path, output_format, rows, **changes):
    """Return the objects of a store with just this shard."""
    store = Store(
        str(tmp_path / f"whole-{len(rows)}-{sum(len(row.payload or b'') for row in rows)}")
    )
    files = write_files(store, output_format, rows)
    record = make_record(rows, files, **changes)
    store.write(record.record_name, record.to_json())
    return contents(store)


def visible(store):
    """Return every object but those of replacements under way."""
    return {key: data for key, data in contents(store).items() if not key.startswith("_replace/")}


@pytest.mark.parametrize("output_format", FORMATS)
def test_new_version_is_there_and_nothing_else_when_replaced(store, tmp_path, output_format):
    write_shard(store, output_format, OLD)
    record = replace(store, output_format)
    assert contents(store) == whole(tmp_path, output_format, NEW, end_time=2.0)
    assert read_record(store, "00003") == record
    assert verify_shard(store, record) == []
    assert not (store.root / "_replace").exists()


@pytest.mark.parametrize("chosen", [distinct, pytest.param(every, marks=pytest.mark.slow)])
@pytest.mark.parametrize("output_format", FORMATS)
def test_old_or_new_version_is_whole_when_killed_at_any_step(tmp_path, output_format, chosen):
    old, new = (
        whole(tmp_path, output_format, OLD),
        whole(tmp_path, output_format, NEW, end_time=2.0),
    )
    counted = FailingStore(Store(str(tmp_path / "counted")), Steps())
    write_shard(counted._store, output_format, OLD)
    replace(counted, output_format)
    steps = counted.steps.names
    taken, outcomes = chosen(steps), []
    for step in taken:
        store = Store(str(tmp_path / f"killed-{step}"))
        write_shard(store, output_format, OLD)
        with pytest.raises(Killed):
            replace(FailingStore(store, die_at(step)), output_format)
        left = contents(store)
        assert roll_forward(store) in ([], ["00003"])
        after = visible(store)
        assert after in (old, new), (steps[step], sorted(left))
        assert not verify_shard(store, read_record(store, "00003"))
        outcomes.append(after == new)
    assert outcomes == sorted(outcomes)  # old before the intent, new after it
    assert steps[taken[outcomes.index(True) - 1]] == "write 00003_stats.json"


def test_new_version_is_there_when_rolling_forward_is_killed_again_and_again(store, tmp_path):
    write_shard(store, "webdataset", OLD)
    record = make_record(
        NEW, write_files(replacement_store(store, "00003"), "webdataset", NEW), end_time=2.0
    )
    with pytest.raises(Killed):
        replace_shard(FailingStore(store, die_at(1)), record)  # the intent is there
    for step in range(100):
        try:
            roll_forward(FailingStore(store, die_at(step)))
            break
        except Killed:
            continue
    assert visible(store) == whole(tmp_path, "webdataset", NEW, end_time=2.0)
    assert roll_forward(store) == []


def test_new_version_is_there_when_another_run_rolls_forward_at_the_same_time(store, tmp_path):
    write_shard(store, "webdataset", OLD)
    record = make_record(
        NEW, write_files(replacement_store(store, "00003"), "webdataset", NEW), end_time=2.0
    )

    class Overtaken(FailingStore):
        def open_read(self, key):
            if len(self.steps.names) >= 1:
                roll_forward(store)
            return self._store.open_read(key)

        def child(self, prefix):
            return Overtaken(self._store.child(prefix), self.steps)

    replace_shard(Overtaken(store, Steps()), record)
    assert contents(store) == whole(tmp_path, "webdataset", NEW, end_time=2.0)


def test_old_version_stays_when_the_disk_is_full_while_writing_the_new_one(store, tmp_path):
    write_shard(store, "webdataset", OLD)
    for step in range(1, 12):
        with pytest.raises(DiskFull):
            replace(FailingStore(store, raise_at(step, DiskFull("full"))), "webdataset")
        roll_forward(store)
        assert visible(store) == whole(tmp_path, "webdataset", OLD)


def test_new_version_is_refused_when_its_rows_are_not_accounted_for(store):
    old = write_shard(store, "webdataset", OLD)
    files = write_files(replacement_store(store, "00003"), "webdataset", NEW)
    with pytest.raises(ShardIncomplete):
        replace_shard(store, make_record(NEW, files, successes=6))
    assert roll_forward(store) == []
    assert read_record(store, "00003") == old


def test_only_named_shards_are_finished_when_names_are_given(store):
    write_shard(store, "webdataset", OLD)
    write_shard(store.child("_replace/00003"), "webdataset", NEW)
    assert roll_forward(store, ["00001"]) == []
    assert verify_shard(store, read_record(store, "00003")) == []
    assert roll_forward(store, ["00003"]) == ["00003"]
    assert read_record(store, "00003").successes == 5


def test_replacement_is_left_alone_when_it_may_be_at_work_and_removed_when_abandoned(store):
    write_shard(store, "webdataset", OLD)
    replacement = replacement_store(store, "00003")
    replacement.stage("00003.tar").write(b"unfinished")
    write_files(replacement, "webdataset", NEW)
    assert roll_forward(store) == []
    assert (store.root / "_replace/00003/00003.tar").exists()
    assert roll_forward(store, ["00001"], abandoned_s=-1) == []
    assert (store.root / "_replace/00003/00003.tar").exists()
    assert roll_forward(store, abandoned_s=-1) == []
    assert not (store.root / "_replace").exists()


def test_replacement_is_removed_when_its_process_died_before_anything_was_committed(store):
    staged = replacement_store(store, "00003").stage("00003.tar")
    staged.write(b"unfinished")
    assert roll_forward(store) == []
    staged.write(b"still at work")
    assert roll_forward(store, abandoned_s=-1) == []
    assert not (store.root / "_replace").exists()


def test_intent_is_kept_when_it_is_old_and_another_shard_is_meant(store):
    write_shard(store, "webdataset", OLD)
    write_shard(store.child("_replace/00003"), "webdataset", NEW)
    assert roll_forward(store, ["00001"], abandoned_s=-1) == []
    assert roll_forward(store, abandoned_s=-1) == ["00003"]


@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_message_says_what_to_do_when_the_new_version_is_damaged(store, damage):
    old = write_shard(store, "webdataset", OLD)
    folder = store.child("_replace/00003")
    write_shard(folder, "webdataset", NEW)
    path = folder.locate("00003.tar")
    if damage == "gone":
        os.unlink(path)
    else:
        data = bytearray(folder.read("00003.tar"))
        data[0] ^= 1
        folder.write("00003.tar", bytes(data[: len(data) - 512 * (damage == "cut")]))
    with pytest.raises(
        ShardCorrupt,
        match=f"{folder.url}: the new version of a shard is damaged: .*; "
        "delete that folder and run again",
    ):
        roll_forward(store)
    store.delete_tree("_replace/00003")
    assert roll_forward(store) == []
    assert read_record(store, "00003") == old


def test_nothing_is_done_when_there_is_nothing_to_replace(store):
    write_shard(store, "webdataset", OLD)
    counted = FailingStore(store, Steps())
    assert roll_forward(counted) == []
    assert counted.steps.names == []
