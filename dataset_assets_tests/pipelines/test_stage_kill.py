"""Die at every step that staging takes on its store, then run again.

The bytes are those of an uninterrupted run, and committed images are not read again.
"""

import gc
import os
import platform
import subprocess
import sys
from dataclasses import replace
from functools import cache

import pytest

from dataset_assets.errors import ObjectMissing
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards import active_runs as _presence
from dataset_assets.shards.commits import list_records, read_manifest
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
def test_bytes_are_those_of_a_clean_run_when_killed_at_any_step(
    tmp_path, monkeypatch, archive, layout, every
):
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
        with monkeypatch.context() as patch:
            patch.setattr(_presence, "run_name", name_of_ended_run)
            with pytest.raises(
                (Killed, OSError)
            ):  # pyarrow turns what its sink raises into an OSError
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


def test_leftovers_of_ended_runs_are_removed_but_those_of_live_runs_stay(tmp_path, archive):
    store = open_store(str(tmp_path / "out"))
    store.write(f"_stage/{name_of_ended_run()}/started", b"")
    left = store.stage("00007.tar")
    left.write(b"left by the dead")
    left.close()
    run(ZipSource(archive), store)
    assert list(store.root.glob("_*")) == []
    store.write(f"_stage/{_presence.run_name()}/started", b"")
    store.delete("manifest.json")
    living = store.stage("00007.tar")
    living.write(b"being written by the living")
    run(ZipSource(archive), store)
    living.commit()
    assert store.read("00007.tar") == b"being written by the living"


@cache
def name_of_ended_run():
    """Return the name of a run on this machine whose process has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return f"{platform.node()}-{ended.pid}-{'0' * 32}"
