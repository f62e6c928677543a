"""Workers whose trainer is killed, and workers in a container with little shared memory."""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset_assets.loaders.torch.loader import LoaderOptions, ShardLoader, ShardRows, stack
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.small_loaders import make
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set

METHODS = ("fork", "forkserver", "spawn")
IMPORTED = f"from {__name__} import "
LARGE = 300_000  # values of a sample: 1.2 MB


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "set"))
    write_set(store, SetSpec(counts=(20, 20, 20)))
    return store


class Sleeping:
    """Does not end, after the first batch of each worker."""

    def __call__(self, sample, rng):
        self.count = getattr(self, "count", 0) + 1
        if self.count > 8:
            time.sleep(600)
        return (sample.columns["label"],)


class Large:
    """Makes more than the pipe takes, and more than fits into 4 MB of shared memory."""

    def __call__(self, sample, rng):
        values = torch.full((LARGE,), float(sample.columns["label"]))
        return values, np.float32(sample.columns["label"])


def with_views(samples, rng):
    """Return tensors that share memory, and others."""
    values = torch.stack([each[0] for each in samples])
    return {"all": values, "part": values[:, 5:7], "none": torch.empty(0), "half": values[0].half()}


def train(folder, method, reached, transform):
    """Take one batch, then stop taking any."""
    loader = make(Store(folder), transform, num_workers=3, start_method=method, shuffle=False)
    next(iter(loader))
    time.sleep(1.0)  # workers make the batches ahead
    Path(reached).touch()
    time.sleep(600)


def processes():
    """Return the processes that have not ended: process -> parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, parent, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if state not in "ZX":
                found[int(entry.name)] = int(parent)
    return found


def below(root):
    """Return all processes that a process has started, and those that these have."""
    found = processes()
    inside = {root}
    while more := {pid for pid, parent in found.items() if parent in inside} - inside:
        inside |= more
    return inside - {root}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("method", "transform"), [*((method, Sleeping) for method in METHODS), ("fork", Large)]
)
def test_workers_end_within_10_s_when_their_trainer_is_killed(
    store, tmp_path, warm_python, method, transform
):
    reached = tmp_path / "reached"
    (tmp_path / "train.py").write_text(
        f"if __name__ == '__main__':\n  {IMPORTED}train, {transform.__name__}\n"
        f"  train({store.url!r}, {method!r}, {str(reached)!r}, {transform.__name__}())"
    )
    trainer = warm_python.start(tmp_path / "train.py")
    while not reached.exists():
        assert trainer.poll() is None, trainer.output()
        time.sleep(0.02)
    workers = below(trainer.pid)
    assert len(workers) >= 3
    os.kill(trainer.pid, signal.SIGKILL)
    assert trainer.wait() == -signal.SIGKILL
    until = time.monotonic() + 10
    while left := workers & processes().keys():
        assert time.monotonic() < until, left
        time.sleep(0.05)


def batches(folder, method, collated):
    """Compare the batches of workers, in 4 MB of shared memory, with those of this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x00020000) == 0  # CLONE_NEWNS
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", "/dev/shm"], check=True)
    options = {"global_batch_size": 4, "shuffle": False, "columns": ("label",)}
    collate = with_views if collated == "views" else stack
    expected, got = (
        ShardLoader(
            ShardRows(Store(folder)),
            Large(),
            collate,
            options=LoaderOptions(**options, **workers),
        )
        for workers in ({}, {"num_workers": 2, "start_method": method})
    )
    count = 0
    for ours, theirs in zip(expected, got, strict=True):
        pairs = ours.items() if isinstance(ours, dict) else enumerate(ours)
        for key, value in pairs:
            assert torch.equal(value, theirs[key])
            assert value.dtype == theirs[key].dtype
        if collated == "views":
            theirs["all"][:, 5:7] = -1  # it can be written to, and views of it are still views
            assert (theirs["part"] == -1).all()
        count += 1
    assert count == 15


def can_mount():
    """Tell whether this process may make a mount namespace of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    command = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    found = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, check=False)
    return found.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace")
@pytest.mark.parametrize(("method", "collated"), [("fork", "default"), ("spawn", "views")])
def test_batches_are_copied_and_that_is_said_when_shared_memory_is_full(
    store, tmp_path, warm_python, method, collated
):
    (tmp_path / "read.py").write_text(
        f"if __name__ == '__main__':\n  {IMPORTED}batches\n"
        f"  batches({store.url!r}, {method!r}, {collated!r})"
    )
    done = warm_python.run(tmp_path / "read.py")
    assert done.returncode == 0, done.stdout
    assert "got none in /dev/shm (4 MB)" in done.stdout
    assert "--shm-size" in done.stdout
    assert "Traceback" not in done.stdout
