"""Folders of `multiprocessing` that killed processes left: those of ours go, all others stay."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dataset_assets import processes

OWNER = "dataset_assets_owner.json"
DISTRIBUTOR = """
import sys, tempfile
from dataset_assets import registry
from dataset_assets_tests.distribute.work import slow, square
tempfile.tempdir = sys.argv[1]
work = {"slow": slow, "square": square}[sys.argv[2]]
list(registry.load("distributor", "multiprocessing")(2).run(work, range(4)))
"""
LOADER = """
import sys, tempfile
import torch
from torch.utils.data import DataLoader
from dataset_assets.processes import own_multiprocessing_folder
tempfile.tempdir = sys.argv[1]
own_multiprocessing_folder()
loader = DataLoader(range(100), num_workers=2, multiprocessing_context=sys.argv[3])
for batch in loader:
    while sys.argv[2] == "slow":
        open(sys.argv[1] + "/reached", "w").close()
"""


def folders(tmp_path):
    return sorted(path.name for path in tmp_path.glob("pymp-*"))


def kill_when_started(process, tmp_path):
    until = time.monotonic() + 60
    while not list(tmp_path.glob("pymp-*/*listener*")) and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_run_leaves_a_folder_and_the_next_removes_it(tmp_path, warm_python):
    killed = warm_python.start("-c", DISTRIBUTOR, tmp_path, "slow")
    kill_when_started(killed, tmp_path)
    assert len(folders(tmp_path)) == 1
    done = warm_python.run("-c", DISTRIBUTOR, tmp_path, "square")
    assert done.returncode == 0, done.stdout
    assert folders(tmp_path) == []


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_folders_of_killed_trainers_are_removed(tmp_path, warm_python, method):
    killed = warm_python.start("-c", LOADER, tmp_path, "slow", method)
    while not (tmp_path / "reached").exists():
        assert killed.poll() is None, killed.output()
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(folders(tmp_path)) == 1
    done = warm_python.run("-c", LOADER, tmp_path, "once", method)
    assert done.returncode == 0, done.stdout
    assert folders(tmp_path) == []


def test_a_live_run_keeps_its_folder(tmp_path, warm_python):
    live = warm_python.start("-c", DISTRIBUTOR, tmp_path, "slow")
    try:
        while not list(tmp_path.glob(f"pymp-*/{OWNER}")):
            assert live.poll() is None, live.output()
            time.sleep(0.01)
        kept = folders(tmp_path)
        assert warm_python.run("-c", DISTRIBUTOR, tmp_path, "square").returncode == 0
        assert folders(tmp_path) == kept
        assert live.poll() is None
    finally:
        os.kill(live.pid, signal.SIGKILL)
        live.wait()


def dead_owner():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return dataclasses.asdict(dataclasses.replace(processes.this_process(), pid=ended.pid))


def folder_of(tmp_path, name, owner):
    folder = tmp_path / name
    folder.mkdir()
    if owner is not None:
        text = owner if isinstance(owner, str) else json.dumps(owner)
        (folder / OWNER).write_text(text)
    return folder


def test_only_folders_that_name_a_dead_process_of_this_machine_are_removed(tmp_path, warm_python):
    dead, living = dead_owner(), dataclasses.asdict(processes.this_process())
    gone = [
        folder_of(tmp_path, "pymp-dead", dead),
        folder_of(tmp_path, "pymp-number-in-use-again", {**living, "started": 1}),
    ]
    kept = [
        folder_of(tmp_path, "pymp-nobody", None),
        folder_of(tmp_path, "pymp-living", living),
        folder_of(tmp_path, "pymp-elsewhere", {**dead, "machine": "another/namespace"}),
        folder_of(tmp_path, "pymp-cut", json.dumps(dead)[:20]),
        folder_of(tmp_path, "pymp-list", "[]"),
        folder_of(tmp_path, "pymp-text", {**dead, "pid": "1"}),
        folder_of(tmp_path, "pymp-group", {**dead, "pid": -1}),
        folder_of(tmp_path, "other-dead", dead),
    ]
    elsewhere = folder_of(tmp_path, "linked", dead)
    (tmp_path / "pymp-link").symlink_to(elsewhere)
    done = warm_python.run("-c", DISTRIBUTOR, tmp_path, "square")
    assert done.returncode == 0, done.stdout
    assert [folder for folder in gone if folder.exists()] == []
    assert [folder for folder in [*kept, elsewhere] if not folder.exists()] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_folders_of_other_users_are_left_alone(tmp_path, warm_python):
    folder = folder_of(tmp_path, "pymp-of-another-user", dead_owner())
    os.chown(folder, 12345, 12345)
    assert warm_python.run("-c", DISTRIBUTOR, tmp_path, "square").returncode == 0
    assert folder.exists()


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as opened:
            return opened.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
def test_busy_workers_of_a_killed_run_end_within_10_s(tmp_path, warm_python):
    script = DISTRIBUTOR.replace("list(", "for done in ").replace(
        "range(4)))", "range(4)):\n    open(f'{sys.argv[1]}/worker-{done.pid}', 'w').close()"
    )
    run = warm_python.start("-c", script, tmp_path, "slow")
    while len(pids := {int(path.name[7:]) for path in tmp_path.glob("worker-*")}) < 2:
        assert run.poll() is None, run.output()
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    until = time.monotonic() + 10
    while left := [pid for pid in pids if not has_ended(pid)]:
        assert time.monotonic() < until, left
        time.sleep(0.05)
