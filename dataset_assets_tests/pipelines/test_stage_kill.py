"""Die at every step that staging takes on its store, then run again.

The bytes are those of an uninterrupted run, and committed images are not read again.
"""

import gc
import os
import signal
import sys
import time
from dataclasses import replace

import pytest

from dataset_assets.errors import LeaseLost, ObjectMissing, SetInUse
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards.commits import list_records, read_manifest
from dataset_assets.shards.lease import Lease
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.zip_source import SMALL, ZipSource, contents, run, write_zip
from dataset_assets_tests.support.failing_store import FailingStore, Killed, Steps, die_at

COUNT = 11
OPTIONS = {
    "shards": replace(SMALL, workers=1),
    "objects": replace(SMALL, workers=1, layout="objects"),
}


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(autouse=True)
def _silence_killed_runs(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    yield
    gc.collect()


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "images.zip", COUNT)


@pytest.mark.parametrize("layout", OPTIONS)
@pytest.mark.parametrize(
    "every", [5, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_bytes_are_those_of_a_clean_run_when_killed_at_any_step(tmp_path, archive, layout, every):
    options, steps = OPTIONS[layout], Steps()
    clean = open_store(str(tmp_path / "clean" / "staged" / "train"))
    run(ZipSource(archive), FailingStore(clean, steps), options)
    expected, objects = contents(clean), contents(open_store(str(tmp_path / "clean")))
    for step in {
        *range(0, len(steps.names), every),
        *range(len(steps.names) - 6, len(steps.names)),
    }:
        name = str(tmp_path / f"killed {step}")
        store = open_store(f"{name}/staged/train")
        with pytest.raises((Killed, OSError)):  # pyarrow turns what its sink raises into an OSError
            run(ZipSource(archive), FailingStore(store, die_at(step)), options)
        finished = steps.names.index("write manifest.json") < step
        if not finished:
            with pytest.raises(ObjectMissing):
                read_manifest(store)
        done = sum(record.count for record in list_records(store))
        source = ZipSource(archive)
        run(source, store, options)
        assert contents(store) == expected, steps.names[step]
        assert contents(open_store(name)) == objects
        assert verify_set(store) == []
        assert len(source.read) == COUNT - done
        assert list(store.root.glob("_*")) == []


def test_staging_into_a_folder_in_use_is_refused_and_changes_nothing(tmp_path, archive):
    store = open_store(str(tmp_path / "out"))
    with Lease(store):
        staged = store.stage("00000.tar")
        staged.write(b"being written by the other")
        with pytest.raises(SetInUse, match="in use by process"):
            run(ZipSource(archive), store)
        staged.commit()
        assert store.read("00000.tar") == b"being written by the other"


@pytest.mark.parametrize("layout", OPTIONS)
def test_a_run_that_was_taken_over_commits_nothing_more(tmp_path, archive, layout):
    store = open_store(str(tmp_path / "out" / "staged" / "train"))

    def take_over(done, rows):
        store.write("_lease-00000002", b"{}")

    with pytest.raises(LeaseLost):
        run(ZipSource(archive), store, OPTIONS[layout], progress=take_over)
    assert list_records(store) == []


_SCRIPT = """
import sys, time
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.zip_source import ZipSource, run

def hold(done, rows):
    if done == 6:
        open(sys.argv[3], "w").close()
        time.sleep(float(sys.argv[4]))

run(ZipSource(sys.argv[1]), open_store(sys.argv[2]), progress=hold)
"""


def start(python, archive, store, reached, seconds):
    """Stage in another process, and wait until it sleeps in the middle of its second shard."""
    process = python.start("-c", _SCRIPT, archive, store.url, reached, seconds)
    while not reached.exists() and process.poll() is None:
        time.sleep(0.01)
    return process


def test_of_two_runs_at_once_one_wins(tmp_path, archive, warm_python):
    store = open_store(str(tmp_path / "out"))
    first = start(warm_python, archive, store, tmp_path / "first", 1.0)
    second = start(warm_python, archive, store, tmp_path / "second", 0.0)
    assert second.wait() == 1
    assert f"in use by process {first.pid} of this machine" in second.output()
    assert first.wait() == 0, first.output()
    assert verify_set(store) == []
    assert list(store.root.glob("_*")) == []


@pytest.mark.parametrize("is_finished", [False, True])
def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path, archive, warm_python, is_finished):
    store = open_store(str(tmp_path / "out"))
    if is_finished:
        run(ZipSource(archive), store)
        store.delete("manifest.json")
        store.delete("00001_stats.json")  # the next run has a shard to make again
    killed = start(warm_python, archive, store, tmp_path / "reached", 60)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert list(store.root.glob("_tmp/*"))
    run(ZipSource(archive), store)
    assert list(store.root.glob("_*")) == []
    assert verify_set(store) == []
