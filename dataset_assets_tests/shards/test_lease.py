"""One run at a time on a set: who holds it, how a dead holder is told, what it leaves behind."""

import dataclasses
import json
import multiprocessing
import os
import signal
import threading
import time

import pytest

from dataset_assets import processes
from dataset_assets.errors import DiskFull, LeaseLost, SetInUse
from dataset_assets.shards.lease import Lease, check_lease, this_process
from dataset_assets.storage.store import open_store

FAST = {"heartbeat_s": 0.1, "silent_s": 1.0}


@pytest.fixture
def store(tmp_path):
    """An empty folder."""
    return open_store(str(tmp_path))


def keys(store):
    return [info.key for info in store.list()]


def leave(store, **changes):
    """Leave the lease of a run that has not ended."""
    holder = dataclasses.replace(this_process(), **changes)
    store.write("_lease-00000001", json.dumps(dataclasses.asdict(holder)).encode())
    return holder


def hold(folder, ready):
    with Lease(open_store(folder)):
        ready.set()
        time.sleep(60)


@pytest.fixture
def other_process(tmp_path):
    """A process of this machine that holds the folder."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(str(tmp_path), ready), daemon=True)
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()
    process.join()


def test_a_commit_does_not_list_the_folder_to_prove_its_lease(store, monkeypatch):
    with Lease(store) as lease:
        with monkeypatch.context() as patch:  # a set of many shards would be read for each of them
            patch.setattr(type(store), "list", None)
            check_lease(store, lease.key)
        store.write("_lease-00000002", b"{}")
        with pytest.raises(LeaseLost, match="taken over"):
            check_lease(store, lease.key)
        store.delete("_lease-00000001")
        store.delete("_lease-00000002")
        with pytest.raises(LeaseLost, match="taken over"):
            check_lease(store, lease.key)


def test_nothing_is_left_when_every_shard_is_recorded(store):
    with Lease(store) as lease:
        assert not lease.found_claim
        lease.check()
        lease.is_complete = True
    assert keys(store) == []


def test_a_claim_is_left_when_shards_are_missing(store):
    with Lease(store) as lease:
        lease.has_written = True
    assert keys(store) == ["_lease-00000001"]
    with Lease(store) as lease:
        assert lease.found_claim
        assert keys(store) == ["_lease-00000002"]
    assert keys(store) == ["_lease-00000002"]


def test_nothing_is_left_when_nothing_was_written(store):
    with pytest.raises(KeyboardInterrupt), Lease(store):
        raise KeyboardInterrupt
    assert keys(store) == []


def test_a_live_run_of_this_process_is_not_disturbed(store):
    with Lease(store) as lease:
        with pytest.raises(SetInUse, match=f"in use by process {os.getpid()} of this machine"):
            Lease(store).__enter__()
        lease.check()


def test_a_live_process_is_not_disturbed_and_a_killed_one_is_replaced_at_once(store, other_process):
    with pytest.raises(SetInUse, match=f"process {other_process.pid} of this machine"):
        Lease(store).__enter__()
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.join()
    started = time.monotonic()
    with Lease(store) as lease:
        assert lease.found_claim
    assert time.monotonic() - started < 5


def test_a_stopped_process_is_alive_however_long_it_shows_no_heartbeat(store, other_process):
    os.kill(other_process.pid, signal.SIGSTOP)
    with pytest.raises(SetInUse):
        Lease(store, **FAST).__enter__()


def test_another_process_with_the_number_of_a_dead_one_is_not_taken_for_it(store):
    leave(store, pid=os.getppid(), started=1)
    with Lease(store) as lease:
        assert lease.found_claim


def test_a_holder_elsewhere_is_alive_while_its_heartbeat_is_seen(store):
    holder = leave(store, machine="another boot/another namespace", host="node-7", pid=1)
    stop = threading.Event()

    def beat():
        beats = 0
        while not stop.wait(0.1):
            beats += 1
            changed = dataclasses.replace(holder, beats=beats)
            store.write("_lease-00000001", json.dumps(dataclasses.asdict(changed)).encode())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(SetInUse, match="process 1 of node-7"):
            Lease(store, **FAST).__enter__()
    finally:
        stop.set()
        thread.join()
    with Lease(store, **FAST) as lease:  # now it is silent
        assert lease.found_claim


def test_age_alone_never_ends_a_lease(store, tmp_path):
    with Lease(store):
        os.utime(tmp_path / "_lease-00000001", (0, 0))
        with pytest.raises(SetInUse):
            Lease(store, **FAST).__enter__()


def test_one_of_many_wins_when_a_holder_has_died(store):
    leave(store, pid=os.getppid(), started=1)
    start = threading.Barrier(8)
    won, refused = [], []

    def take():
        lease = Lease(store, **FAST)
        start.wait()
        try:
            won.append(lease.__enter__())
        except SetInUse as exc:
            refused.append(exc)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 7)
    won[0].check()
    won[0].__exit__(None, None, None)


def test_a_run_that_was_taken_over_cannot_commit_and_leaves_the_new_lease_alone(store):
    with Lease(store) as lease:
        store.write("_lease-00000002", json.dumps(dataclasses.asdict(this_process())).encode())
        with pytest.raises(LeaseLost, match="another that has taken over"):
            check_lease(store, lease.key)
    assert "_lease-00000002" in keys(store)


def test_the_heartbeat_changes_the_lease(store, monkeypatch):
    with Lease(store, **FAST) as lease:
        until = time.monotonic() + 20
        while json.loads(store.read(lease.key))["beats"] < 2:
            assert time.monotonic() < until
            time.sleep(0.05)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"run": 1}', b"\xff"])
def test_a_lease_that_a_crash_of_the_machine_cut_off_is_that_of_a_dead_run(store, data):
    store.write("_lease-00000001", data)
    with Lease(store) as lease:
        assert lease.found_claim


def test_other_files_are_no_leases(store):
    store.write("_lease-notes.txt", b"mine")
    with Lease(store) as lease:
        assert not lease.found_claim
        lease.is_complete = True
    assert keys(store) == ["_lease-notes.txt"]


def test_it_works_where_the_system_tells_nothing_about_processes(store, monkeypatch):
    monkeypatch.setattr(processes, "_text", lambda path: "")
    with Lease(store), pytest.raises(SetInUse):
        Lease(store).__enter__()


def test_an_error_of_the_run_is_kept_when_the_lease_cannot_be_released(store, monkeypatch, caplog):
    def run():
        with Lease(store) as lease:
            lease.has_written = True
            monkeypatch.setattr(type(store), "write", _full)
            raise KeyError("the error of the run")

    with pytest.raises(KeyError, match="the error of the run"):
        run()
    assert "is not released: no space" in caplog.text
    monkeypatch.undo()
    with Lease(store) as later:
        assert later.found_claim


def _full(*args, **options):
    raise DiskFull("no space")
