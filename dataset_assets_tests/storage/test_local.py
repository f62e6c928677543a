import os
import socket
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataset_assets.errors import DiskFull, NotWritable, ObjectMissing, StorageError
from dataset_assets.storage.store import open_store
from dataset_assets.storage.stores import local


@pytest.mark.parametrize("prefix", ["", "file://", "local://"])
def test_folder_opens_by_path_and_by_url(tmp_path, prefix):
    store = open_store(f"{prefix}{tmp_path}/ü b")
    store.write("a", b"1")
    assert (tmp_path / "ü b" / "a").read_bytes() == b"1"
    assert store.locate("a") == str(tmp_path / "ü b" / "a")


def test_percent_escapes_are_resolved_in_file_urls_only(tmp_path):
    assert open_store(f"file://{tmp_path}/a%20b").url == f"{tmp_path}/a b"
    assert open_store(f"{tmp_path}/a%20b").url == f"{tmp_path}/a%20b"


def test_disk_full_names_the_path_and_leaves_nothing(tmp_path, monkeypatch):
    store = open_store(str(tmp_path))

    def refuse(descriptor, parts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local.os, "writev", refuse)
    with pytest.raises(DiskFull, match=r"shard\.tar.*free some space and run again"):
        store.write("shard.tar", b"1")
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_completed_when_the_system_takes_less(tmp_path, monkeypatch):
    store = open_store(str(tmp_path))
    monkeypatch.setattr(
        local.os, "writev", lambda descriptor, parts: os.write(descriptor, b"".join(parts)[:3])
    )
    store.write("a", b"0123456789")
    assert store.read("a") == b"0123456789"


def test_not_writable_is_found_before_any_work(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotWritable, match="choose an output folder"):
        open_store(str(tmp_path / "file")).check_writable()
    with pytest.raises(StorageError):
        open_store(str(tmp_path / "file")).write("a", b"")


def test_dangling_links_are_not_listed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert list(open_store(str(tmp_path)).list()) == []
    with pytest.raises(ObjectMissing):
        open_store(str(tmp_path)).read("link")


def test_temporary_folder_is_made_again_when_another_process_removes_it(tmp_path, monkeypatch):
    store = open_store(str(tmp_path))
    made = local.Path.mkdir
    calls = []

    def mkdir_then_removed(self, *args, **kwargs):
        made(self, *args, **kwargs)
        calls.append(self)
        if len(calls) < 3:
            self.rmdir()

    monkeypatch.setattr(local.Path, "mkdir", mkdir_then_removed)
    store.write("a", b"1")
    assert store.read("a") == b"1"


def test_sweeping_goes_on_when_others_come_and_go(tmp_path):
    store = open_store(str(tmp_path))
    switched_every_s, done = sys.getswitchinterval(), threading.Event()

    def come_and_go():
        while not done.is_set():
            store.check_writable()

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(come_and_go)
        sys.setswitchinterval(1e-5)
        try:
            assert sum(store.sweep(older_than_s=100) for _ in range(5000)) == 0
        finally:
            sys.setswitchinterval(switched_every_s)
            done.set()
        running.result()


def test_a_tree_is_deleted_when_others_delete_it_too(tmp_path):
    store = open_store(str(tmp_path))
    for _ in range(10):
        for number in range(60):
            store.write(f"a/{number % 7}/{number}", b"1", durable=False)
        with ThreadPoolExecutor(3) as threads:
            assert list(threads.map(store.delete_tree, ["a"] * 3)) == [None] * 3
        assert list(store.list()) == []


def test_links_are_followed_but_not_in_circles(tmp_path):
    store = local.Store(str(tmp_path / "top"))
    store.write("a/b/1.txt", b"x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "2.txt").write_bytes(b"x")
    (tmp_path / "top" / "linked").symlink_to(tmp_path / "other")
    (tmp_path / "top" / "a" / "b" / "up").symlink_to(tmp_path / "top")
    (tmp_path / "other" / "back").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "self").symlink_to("self")
    (tmp_path / "top" / "nothing").symlink_to("absent")
    assert [info.key for info in store.list()] == ["a/b/1.txt", "linked/2.txt"]


def test_pipes_and_sockets_are_no_objects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        (tmp_path / "file").write_bytes(b"x")
        assert [info.key for info in local.Store(str(tmp_path)).list()] == ["file"]


def test_folder_that_cannot_be_read_is_named():
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        closed = Path(top) / "closed"
        closed.mkdir(mode=0o000)
        with _as_nobody(), pytest.raises(StorageError, match="cannot list .*/closed: Permission"):
            list(local.Store(top).list())


@contextmanager
def _as_nobody():
    """Run as a user without privileges if this one has all: root may read any folder."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
