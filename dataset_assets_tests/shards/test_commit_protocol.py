"""Kill at every step of the protocol, run again, compare with an undisturbed run."""

import pytest

from dataset_assets.errors import DiskFull
from dataset_assets.shards.commits import list_records, read_manifest, read_record, write_manifest
from dataset_assets.shards.verify import verify_shard
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import contents, make_rows, write_shard
from dataset_assets_tests.support.failing_store import (
    FailingStore,
    Killed,
    Steps,
    die_at,
    distinct,
    every,
    raise_at,
    sigkill_at,
)

SHARDS = {"00000": make_rows(4, failed=[1]), "00001": make_rows(3, seed=1)}
FORMATS = ("webdataset", "files", "parquet", "tfrecord")
CHOSEN = [distinct, pytest.param(every, marks=pytest.mark.slow)]


def run(store, output_format="webdataset"):
    """Write the shards that do not exist, then the manifest; return the shards written."""
    missing = [name for name in SHARDS if read_record(store, name) is None]
    for name in missing:
        write_shard(store, output_format, SHARDS[name], name=name)
    write_manifest(store, fingerprint="f", output_format=output_format)
    return missing


def steps_of(tmp_path, output_format="webdataset"):
    counted = FailingStore(Store(str(tmp_path / "counted")), Steps())
    run(counted, output_format)
    return counted.steps.names, contents(counted._store)


def check_after(store, output_format, expected, committed):
    written = run(store, output_format)
    assert not set(written) & committed  # what was committed is not made again
    assert contents(store) == expected
    assert read_manifest(store).rows == 7
    assert [verify_shard(store, record) for record in list_records(store)] == [[], []]


@pytest.mark.parametrize("chosen", CHOSEN)
@pytest.mark.parametrize("output_format", FORMATS)
def test_second_run_leaves_the_same_bytes_when_the_first_died_at_any_step(
    tmp_path, output_format, chosen
):
    steps, expected = steps_of(tmp_path, output_format)
    for step in chosen(steps):
        store = Store(str(tmp_path / f"{step}"))
        with pytest.raises(Killed):
            run(FailingStore(store, die_at(step)), output_format)
        committed = {record.name for record in list_records(store)}
        assert committed == {
            done.split("_")[0].removeprefix("write ")
            for done in steps[:step]
            if done.endswith("_stats.json")
        }, steps[step]
        check_after(store, output_format, expected, committed)


@pytest.mark.parametrize("chosen", CHOSEN)
@pytest.mark.parametrize("output_format", FORMATS)
def test_nothing_uncommitted_is_left_when_the_disk_is_full_at_any_step(
    tmp_path, output_format, chosen
):
    steps, expected = steps_of(tmp_path, output_format)
    for step in chosen(steps):
        store = Store(str(tmp_path / f"{step}"))
        with pytest.raises(DiskFull):
            run(FailingStore(store, raise_at(step, DiskFull("full"))), output_format)
        assert list(store.list("_tmp/")) == [], steps[step]
        check_after(store, output_format, expected, {record.name for record in list_records(store)})


def test_steps_are_those_of_the_protocol_when_a_shard_is_written(tmp_path):
    steps, _ = steps_of(tmp_path)
    once = list(dict.fromkeys(step for step in steps if "00001" in step or "manifest" in step))
    assert once == [
        "stage 00001.tar",
        "stage 00001.parquet",
        "append 00001.parquet",  # its first four bytes
        "append 00001.tar",
        "close 00001.tar",
        "close 00001.parquet",
        "commit 00001.tar",
        "commit 00001.parquet",
        "write 00001_stats.json",
        "write manifest.json",
    ]


CRASH_POINTS = [
    "stage 00001.tar",  # before the first sample
    "append 00001.tar#2",  # in the middle of the tar
    "close 00001.tar",
    "close 00001.parquet",  # the tar is durable
    "commit 00001.tar",
    "commit 00001.parquet",  # the tar is visible
    "write 00001_stats.json",  # both are
    "write manifest.json",  # the record is
]


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_second_run_leaves_the_same_bytes_when_the_process_was_killed(tmp_path, point, warm_python):
    steps, expected = steps_of(tmp_path)
    name, _, number = point.partition("#")
    at = [step for step, found in enumerate(steps) if found == name][int(number or 0)]
    folder = tmp_path / "killed"
    done = warm_python.run("-c", f"from {__name__} import die; die({str(folder)!r}, {at})")
    assert done.returncode == -9, done.stdout
    store = Store(str(folder))
    committed = {record.name for record in list_records(store)}
    assert committed == ({"00000", "00001"} if point == "write manifest.json" else {"00000"})
    check_after(store, "webdataset", expected, committed)
    store.sweep(older_than_s=-1)
    assert not (folder / "_tmp").exists()


def die(folder, step):
    """Run in a process of its own."""
    run(FailingStore(Store(folder), sigkill_at(step)))
