"""The protocol of `storage/store.py` on every store; a new store is a line in `OPENERS`."""

import hashlib
import multiprocessing
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, ObjectMissing, StorageError
from dataset_assets.storage.store import check_key, open_store


class GrowingFileSystem(LocalFileSystem):
    """A file system behind fsspec: shows files while they grow, has no conditional create."""

    protocol = ("growing",)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("growing://"))


def open_local(tmp_path, request=None):
    return open_store(str(tmp_path / "store"))


def open_memory(tmp_path, request=None):
    return open_store(f"memory://{tmp_path.name}-{time.monotonic_ns()}/store")


def open_growing(tmp_path, request=None):
    fsspec.register_implementation("growing", GrowingFileSystem, clobber=True)
    return open_store(f"growing://{tmp_path}/store")


def open_s3(server):
    def opened(tmp_path, request):
        s3, monkeypatch = request.getfixturevalue(server), request.getfixturevalue("monkeypatch")
        for name, value in s3.environment().items():
            monkeypatch.setenv(name, value)
        return open_store(f"s3://{s3.bucket('contracts')}/{tmp_path.name}-{time.monotonic_ns()}")

    return opened


OPENERS = {
    "local": open_local,
    "memory": open_memory,
    "file_system": open_growing,
    "moto": open_s3("moto"),
    "rclone": open_s3("rclone"),
}
SLOW_OPENERS = {"swift": open_s3("swift")}
#: plug-in -> its openers
STORES = {
    "local": {"local"},
    "fsspec": {"memory", "file_system"},
    "s3": {"moto", "rclone", "swift"},
}


@pytest.fixture(
    params=[*OPENERS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_OPENERS)]
)
def store(request, tmp_path):
    yield (OPENERS | SLOW_OPENERS)[request.param](tmp_path, request)
    MemoryFileSystem.store.clear()


def test_every_store_has_an_opener():
    assert set(STORES) == set(registry.names("store"))
    assert set().union(*STORES.values()) == {*OPENERS, *SLOW_OPENERS}


def keys(store, *args, **kwargs):
    return [info.key for info in store.list(*args, **kwargs)]


def test_write_is_read_back_when_keys_are_unusual(store):
    for key in ("a", "deep/er/b.json", "sp ace/ü.txt", "brackets[1]*?.tar", "x.tar.gz"):
        store.write(key, key.encode())
        assert store.read(key) == key.encode()
        assert store.size(key) == len(key.encode())


def test_write_replaces_the_whole_object_when_it_exists(store):
    store.write("a", b"long old content")
    store.write("a", b"new", durable=False)
    assert store.read("a") == b"new"


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (3, 4, b"3456"),
        (8, 100, b"89"),
        (5, 0, b""),
        (10, 5, b""),
        (99, None, b""),
    ],
)
def test_read_returns_what_there_is_when_asked_for_a_range(store, start, length, expected):
    store.write("a/b", b"0123456789")
    assert store.read("a/b", start, length) == expected


def test_reading_raises_object_missing_when_there_is_no_object(store):
    store.write("folder/a", b"1")
    for key in ("absent", "folder/absent", "folder", "folder/a/below"):
        with pytest.raises(ObjectMissing):
            store.read(key)
        with pytest.raises(ObjectMissing):
            store.open_read(key)
        assert store.size(key) is None
        assert store.info(key) is None


def test_open_read_seeks_and_readers_are_independent(store):
    store.write("a", bytes(range(100)))
    with store.open_read("a") as first, store.open_read("a") as second:
        first.seek(50)
        assert second.read(2) == b"\x00\x01"
        assert first.read(2) == b"\x32\x33"
        first.seek(-1, 2)
        assert first.read() == b"\x63"


def test_list_is_sorted_and_complete_when_there_are_folders(store):
    assert keys(store) == []
    for key in ("b", "a/2", "a/1", "a/c/3", "ab", "a.txt"):
        store.write(key, b"x" * len(key))
    assert keys(store) == ["a.txt", "a/1", "a/2", "a/c/3", "ab", "b"]
    assert keys(store, "a") == ["a.txt", "a/1", "a/2", "a/c/3", "ab"]
    assert keys(store, "a/") == ["a/1", "a/2", "a/c/3"]
    assert keys(store, "a/", recursive=False) == ["a/1", "a/2"]
    assert keys(store, "a", recursive=False) == ["a.txt", "ab"]
    assert keys(store, "none/") == []
    assert {info.key: info.bytes for info in store.list("a/")} == {"a/1": 3, "a/2": 3, "a/c/3": 5}


def test_info_changes_when_an_object_is_replaced(store):
    store.write("a", b"1")
    before = store.info("a")
    time.sleep(1.05 if store.url.startswith("s3://") else 0.02)  # the resolution of S3 is a second
    store.write("a", b"2")
    after = store.info("a")
    assert before.modified > 0
    assert after.modified > before.modified


def test_staged_object_is_invisible_until_commit(store):
    store.write("shard.tar", b"old")
    with store.stage("shard.tar") as staged:
        staged.write(b"new ")
        staged.writev([b"con", memoryview(b"te"), bytearray(b"nt")])
        assert store.read("shard.tar") == b"old"
        staged.close()
        staged.close()
        assert store.read("shard.tar") == b"old"
        assert keys(store) == ["shard.tar"]
        staged.commit()
        staged.commit()
        staged.discard()
    assert store.read("shard.tar") == b"new content"
    assert staged.bytes == 11
    assert staged.sha256 == hashlib.sha256(b"new content").hexdigest()
    assert keys(store) == ["shard.tar"]


def test_staged_object_leaves_nothing_when_discarded(store):
    with suppress(ZeroDivisionError), store.stage("a/b") as staged:
        staged.write(b"x" * 1000)
        staged.close()
        raise ZeroDivisionError
    assert keys(store) == []
    assert store.sweep(older_than_s=-10) == 0
    with pytest.raises(StorageError):
        staged.write(b"more")


def test_staged_object_of_a_child_is_not_listed_by_its_parent(store):
    child = store.child("below")
    with child.stage("a") as staged:
        staged.write(b"1")
        staged.close()
        assert keys(store) == []
        staged.commit()
    assert keys(store) == ["below/a"]
    assert child.read("a") == b"1"


def test_writev_takes_more_buffers_than_the_system_does_at_once(store):
    parts = [b"%d," % number for number in range(5000)]
    with store.stage("many") as staged:
        staged.writev([])
        staged.writev(parts)
        staged.commit()
    assert store.read("many") == b"".join(parts)
    assert staged.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()


def test_write_new_keeps_the_first_when_there_are_two(store):
    assert store.write_new("pointer", b"first") is True
    assert store.write_new("pointer", b"second") is False
    assert store.read("pointer") == b"first"
    assert keys(store) == ["pointer"]


def test_delete_is_quiet_when_there_is_nothing(store):
    store.write("a/b", b"1")
    store.delete("a/b")
    store.delete("a/b")
    assert keys(store) == []


def test_delete_tree_deletes_below_a_prefix_only(store):
    for key in ("a/1", "a/b/2", "ab/3", "c"):
        store.write(key, b"")
    store.delete_tree("a")
    assert keys(store) == ["ab/3", "c"]
    store.delete_tree("none/")
    with store.stage("open") as staged:
        staged.close()
        store.delete_tree("")
        assert keys(store) == []
        assert store.sweep(older_than_s=-10) == 0


def test_sweep_deletes_leftovers_when_they_are_old(store):
    leftovers = [store.stage("a"), store.stage("b")]
    for staged in leftovers:
        staged.close()
    store.write("c", b"")
    assert store.sweep(older_than_s=3600) == 0
    store.sweep(older_than_s=-10)
    assert keys(store) == ["c"]
    assert store.sweep(older_than_s=-10) == 0


def test_check_writable_leaves_nothing(store):
    store.check_writable()
    assert keys(store) == []
    store.write("a", b"")
    store.check_writable()
    assert keys(store) == ["a"]


def test_url_opens_an_equal_store_and_a_store_is_picklable(store):
    store.write("a/b", b"1")
    for other in (
        open_store(store.url),
        pickle.loads(pickle.dumps(store)),
        open_store(store.url + "/"),
    ):
        assert other.url == store.url
        assert other.read("a/b") == b"1"
        assert other.child("a").read("b") == b"1"
    assert store.locate("a/b") == f"{store.url}/a/b"


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "../a", "a/../b", "a/.", "a\\b", "a\0", "a/", "_tmp/a", "a/_tmp"]
)
def test_key_is_refused_when_it_may_leave_the_store(store, key):
    with pytest.raises(ConfigurationError):
        check_key(key)
    with pytest.raises(ConfigurationError):
        store.write(key, b"")
    with pytest.raises(ConfigurationError):
        store.read(key)


def test_readers_see_the_old_or_the_new_object_when_writers_race(store, request):
    has_gaps = (
        "rclone" in request.node.name
    )  # between the old and the new object it has none for a moment
    contents = [bytes([65 + number]) * 50_000 for number in range(3)]
    store.write("a", contents[0])
    problems: list[str] = []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            try:
                data = store.read("a")
            except Exception as exc:
                if has_gaps and isinstance(exc, ObjectMissing):
                    continue
                problems.append(repr(exc))
                return
            if data not in contents:
                problems.append(f"{len(data)} bytes of {set(data)}")

    def write(content):
        for _ in range(30):
            store.write("a", content, durable=False)

    with ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        writers = [pool.submit(write, content) for content in contents]
        for each in writers:
            problems += [repr(each.exception())] if each.exception() else []
        stop.set()
        for each in readers:
            each.result()
    assert problems == []


def write_many(store, worker):
    for number in range(60):
        store.write(f"{worker}-{number}", b"x", durable=False)


@pytest.mark.parametrize("opener", ["local", "file_system"])
def test_processes_write_at_once_when_each_leaves_the_temporary_folder_empty(tmp_path, opener):
    store = OPENERS[opener](tmp_path)
    workers = [
        multiprocessing.get_context("fork").Process(target=write_many, args=(store, worker))
        for worker in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(keys(store)) == 240
