"""Kill a split at every step on its store and run it again.

The bytes are those of an uninterrupted run, and the pointer never names a partial version.
"""

import os
import random
import shutil
import signal

import pytest

from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.versions import load_split
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.sources import SMALL, contents, make_images
from dataset_assets_tests.support.failing_store import FailingStore, Killed, Steps, die_at

COUNT = 12
FIRST, SECOND = SplitOptions(seed=1), SplitOptions(seed=2)


def run(store, options=SECOND):
    return split_archives(make_images(COUNT), store, options, SMALL, keep_versions=1)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def clean(tmp_path):
    """The contents of a store after two uninterrupted runs, and the steps of the second."""
    store, steps = open_store(str(tmp_path / "clean")), Steps()
    run(store, FIRST)
    run(FailingStore(store, steps))
    return contents(store), steps.names


def dies(store, step):
    with pytest.raises((Killed, OSError)):  # pyarrow turns what its sink raises into an OSError
        run(FailingStore(store, die_at(step)))


@pytest.mark.parametrize(
    "every", [7, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_bytes_are_those_of_a_clean_run_when_killed_at_any_step(tmp_path, clean, every):
    expected, steps = clean
    moved = steps.index("write current.json")
    begun = open_store(str(tmp_path / "begun"))
    versions = [run(begun, FIRST).version, load_split(open_store(str(tmp_path / "clean"))).version]
    for step in {*range(0, len(steps), every), *range(moved - 2, len(steps))}:
        store = open_store(str(tmp_path / f"killed {step}"))
        shutil.copytree(begun.url, store.url)
        dies(store, step)
        assert load_split(store).version == versions[step > moved], (
            f"the pointer does not say what is there, before {steps[step]}"
        )
        assert verify_split(store, deep=False) == [], steps[step]
        run(store)
        assert contents(store) == expected, steps[step]
        shutil.rmtree(store.url)


def test_committed_files_are_not_made_again_when_killed_between_two(tmp_path, clean):
    _, steps = clean
    commits = [
        step
        for step, name in enumerate(steps)
        if name.startswith("write _records/") and "started" not in name
    ]
    store = open_store(str(tmp_path / "killed"))
    run(store, FIRST)
    dies(store, commits[len(commits) // 2] + 1)
    source = make_images(COUNT)
    split_archives(source, store, SECOND, SMALL, keep_versions=1)
    assert 0 < len(source.read_keys) < COUNT
    assert verify_split(store) == []


_SCRIPT = f"""
import sys
from dataset_assets.pipelines.split.split_archives import SplitOptions, split_archives
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.sources import SMALL, make_images
from dataset_assets_tests.support.failing_store import FailingStore, sigkill_at
store = FailingStore(open_store(sys.argv[1]), sigkill_at(int(sys.argv[2])))
split_archives(make_images({COUNT}), store, SplitOptions(seed=2), SMALL, keep_versions=1)
"""


@pytest.mark.parametrize(
    "kills", [4, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_bytes_are_those_of_a_clean_run_when_a_real_process_is_killed_again_and_again(
    tmp_path, clean, kills, warm_python
):
    expected, steps = clean
    moved, moments = steps.index("write current.json"), random.Random(2026)
    begun = open_store(str(tmp_path / "begun"))
    versions = {run(begun, FIRST).version, load_split(open_store(str(tmp_path / "clean"))).version}
    store = open_store(str(tmp_path / "out"))
    killed = 0
    while killed < kills:
        if not os.path.exists(store.url) or load_split(store).version != load_split(begun).version:
            shutil.rmtree(store.url, ignore_errors=True)
            shutil.copytree(begun.url, store.url)  # the second version was finished: start again
        step = moments.randrange(1, moved)
        ended = warm_python.run("-c", _SCRIPT, store.url, step)
        assert ended.returncode in (-signal.SIGKILL, 0), ended.stdout
        killed += ended.returncode != 0
        assert load_split(store).version in versions
        assert verify_split(store) == []
    run(store)
    assert contents(store) == expected
    assert verify_split(store) == []


def test_what_a_killed_run_left_is_swept_by_the_next_also_after_a_finished_one(
    tmp_path, clean, warm_python
):
    expected, steps = clean
    moved = steps.index("write current.json")
    appends = [step for step in range(moved) if steps[step].startswith("append ")]
    store = open_store(str(tmp_path / "out"))
    run(store, FIRST)
    killed = warm_python.run("-c", _SCRIPT, store.url, appends[len(appends) // 2])
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert list(store.root.glob("versions/*/_tmp/*"))
    run(store, FIRST)  # nothing to write: the version is complete
    assert list(store.root.glob("**/_tmp")) == list(store.root.glob("_lease-*")) == []
    assert len(list(store.root.glob("versions/*"))) == 1
    run(store)
    assert contents(store) == expected


def test_of_two_runs_at_once_one_wins(tmp_path, clean, warm_python):
    store = open_store(str(tmp_path / "out"))
    in_folder = []

    def try_too(done, samples):
        if done == 1:
            in_folder.append(warm_python.run("-c", _SCRIPT, store.url, 1_000_000))

    split_archives(make_images(COUNT), store, FIRST, SMALL, keep_versions=1, progress=try_too)
    assert in_folder[0].returncode == 1
    assert f"in use by process {os.getpid()} of this machine" in in_folder[0].stdout
    run(store)
    assert contents(store) == clean[0]
