import hashlib
import multiprocessing
import os
import resource
import signal
import threading
import time

import pytest

from dataset_assets.errors import ConfigurationError, DiskFull, ObjectMissing, ShardCorrupt
from dataset_assets.loaders.samples.cache import ShardCache
from dataset_assets.records.shards import ShardFile
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.remote_store import RemoteStore

SIZE = 100_000
FORK = multiprocessing.get_context("fork")


def _body(number):
    return f"{number:06}".encode() * (SIZE // 6) + bytes(SIZE % 6)


def _files(tmp_path, count, **options):
    store = Store(str(tmp_path / "shards"))
    for number in range(count):
        store.write(f"{number:05}.tar", _body(number))
    files = [
        ShardFile(f"{number:05}.tar", SIZE, hashlib.sha256(_body(number)).hexdigest())
        for number in range(count)
    ]
    return RemoteStore(tmp_path / "shards", tmp_path / "log", **options), files


def _read(cache, store, file):
    descriptor, _ = cache.open(store, file)
    try:
        return os.pread(descriptor, 2 * SIZE, 0)
    finally:
        os.close(descriptor)


def test_shard_is_downloaded_once_when_read_often(tmp_path):
    store, files = _files(tmp_path, 2)
    cache = ShardCache(tmp_path / "cache", 10 * SIZE)
    assert [cache.fetch(store, files[0]) for _ in range(3)] == [True, False, False]
    assert _read(cache, store, files[1]) == _body(1)
    assert store.requests() == ["open 00000.tar", "open 00001.tar"]
    assert ShardCache(tmp_path / "cache", 10 * SIZE).fetch(store, files[0]) is False


def test_least_recently_used_shard_is_evicted_when_space_is_needed(tmp_path):
    store, files = _files(tmp_path, 3)
    cache = ShardCache(tmp_path / "cache", 2 * SIZE)
    cache.fetch(store, files[0])
    cache.fetch(store, files[1])
    os.utime(cache.folder / f"{files[0].sha256}.tar", (1, 1))
    ShardCache(tmp_path / "cache", 2 * SIZE).fetch(store, files[0])  # another process uses it
    cache.fetch(store, files[2])
    assert [cache.fetch(store, file) for file in (files[0], files[2])] == [False, False]
    assert cache.used_bytes() == 2 * SIZE


def _work(folder, store, files, seed, wrong):
    cache = ShardCache(folder, 2 * SIZE)
    for step in range(40):
        number = (seed * 7 + step * (seed + 1)) % len(files)
        if _read(cache, store, files[number]) != _body(number):
            wrong.put((seed, number))
    wrong.put(None)


def test_folder_never_exceeds_its_limit_when_many_processes_use_it(tmp_path):
    store, files = _files(tmp_path, 6)
    cache, wrong = ShardCache(tmp_path / "cache", 2 * SIZE), FORK.SimpleQueue()
    processes = [
        FORK.Process(target=_work, args=(tmp_path / "cache", store, files, seed, wrong))
        for seed in range(4)
    ]
    for process in processes:
        process.start()
    most = 0
    while any(process.is_alive() for process in processes):
        most = max(most, cache.used_bytes())
    assert [wrong.get() for _ in processes] == [None] * 4
    assert all(process.exitcode == 0 for process in processes)
    assert SIZE < most <= 2 * SIZE


def _fetch(folder, store, file, started):
    started.wait()
    ShardCache(folder, 10 * SIZE).fetch(store, file)


def test_one_process_downloads_when_several_need_a_shard(tmp_path):
    store, files = _files(tmp_path, 1, latency_s=0.2)
    started = FORK.Event()
    processes = [
        FORK.Process(target=_fetch, args=(tmp_path / "cache", store, files[0], started))
        for _ in range(6)
    ]
    for process in processes:
        process.start()
    started.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    assert store.requests() == ["open 00000.tar"]


def test_one_thread_downloads_when_several_need_a_shard(tmp_path):
    store, files = _files(tmp_path, 1, latency_s=0.1)
    cache = ShardCache(tmp_path / "cache", 10 * SIZE)
    threads = [threading.Thread(target=cache.fetch, args=(store, files[0])) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.requests() == ["open 00000.tar"]


class _Dying(RemoteStore):
    def open_read(self, key):
        file = super().open_read(key)
        original = file.read

        class Cut:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def read(self, size):
                if file.tell():
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(min(size, 1000))

        return Cut()


def test_partial_download_is_discarded_when_its_process_was_killed(tmp_path):
    store, files = _files(tmp_path, 2)
    dying = FORK.Process(
        target=ShardCache(tmp_path / "cache", SIZE).fetch,
        args=(_Dying(tmp_path / "shards", tmp_path / "log"), files[0]),
    )
    dying.start()
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    cache = ShardCache(tmp_path / "cache", SIZE)
    assert cache.used_bytes() == SIZE  # what it left counts
    assert _read(cache, store, files[1]) == _body(1)  # and gives way
    assert _read(cache, store, files[0]) == _body(0)
    assert cache.used_bytes() == SIZE


def _wait(forked):
    forked.set()
    time.sleep(30)


def test_space_is_free_when_a_child_was_forked_during_the_download(tmp_path):
    store, files = _files(tmp_path, 1, latency_s=0.3)
    cache = ShardCache(tmp_path / "cache", 10 * SIZE)
    fetching = threading.Thread(target=cache.fetch, args=(store, files[0]))
    fetching.start()
    time.sleep(0.1)
    forked = FORK.Event()
    child = FORK.Process(target=_wait, args=(forked,))
    child.start()
    forked.wait()
    open_in_child = [
        os.readlink(f"/proc/{child.pid}/fd/{number}")
        for number in os.listdir(f"/proc/{child.pid}/fd")
    ]
    fetching.join()
    child.kill()
    child.join()
    assert not [name for name in open_in_child if str(tmp_path / "cache") in name]


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (
            _body(0)[:5000],
            (
                r"00000.tar ends at byte 5000, its manifest says 100000 bytes; "
                "stage or download it again"
            ),
        ),
        (_body(0) + b"x", r"00000.tar has more than the 100000 bytes of its manifest"),
        (_body(1), r"00000.tar differs from the sha256 in its manifest"),
    ],
)
def test_shard_is_refused_when_it_differs_from_the_manifest(tmp_path, body, match):
    store, files = _files(tmp_path, 1)
    store.write("00000.tar", body)
    cache = ShardCache(tmp_path / "cache", 10 * SIZE)
    with pytest.raises(ShardCorrupt, match=match):
        cache.fetch(store, files[0])
    assert cache.used_bytes() == 0
    assert len(store.requests("open")) == 2  # it may have been the network
    store.write("00000.tar", _body(0))
    assert _read(cache, store, files[0]) == _body(0)


def test_content_is_not_checked_when_verify_is_off(tmp_path):
    store, files = _files(tmp_path, 1)
    store.write("00000.tar", _body(1))
    assert ShardCache(tmp_path / "cache", 10 * SIZE, verify=False).fetch(store, files[0])


def test_missing_shard_is_named_when_fetched(tmp_path):
    store, files = _files(tmp_path, 1)
    store.delete("00000.tar")
    with pytest.raises(
        ObjectMissing,
        match="shard 00000.tar of remote://shards does not exist, but the manifest lists it",
    ):
        ShardCache(tmp_path / "cache", 10 * SIZE).fetch(store, files[0])


def test_damaged_file_of_the_cache_is_downloaded_again_when_opened(tmp_path):
    store, files = _files(tmp_path, 1)
    cache = ShardCache(tmp_path / "cache", 10 * SIZE)
    cache.fetch(store, files[0])
    os.truncate(cache.folder / f"{files[0].sha256}.tar", 10)
    assert _read(cache, store, files[0]) == _body(0)


def test_cache_is_refused_when_a_shard_does_not_fit(tmp_path):
    store, files = _files(tmp_path, 1)
    with pytest.raises(
        ConfigurationError,
        match="cache_bytes: 99999 is less than one shard, 00000.tar with 100000 bytes",
    ):
        ShardCache(tmp_path / "cache", SIZE - 1).fetch(store, files[0])


def test_cache_is_refused_when_its_folder_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigurationError, match="cache_dir: cannot create .*choose another folder"
    ):
        ShardCache(tmp_path / "file", 10)


def _fill(folder, store, file, result):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, SIZE // 2))
    try:
        ShardCache(folder, 10 * SIZE).fetch(store, file)
    except DiskFull as exc:
        result.put(str(exc))


def test_disk_full_is_raised_when_there_is_no_space(tmp_path):
    store, files = _files(tmp_path, 1)
    result = FORK.SimpleQueue()
    process = FORK.Process(target=_fill, args=(tmp_path / "cache", store, files[0], result))
    process.start()
    process.join(20)
    assert "no space left for" in result.get()
    assert ShardCache(tmp_path / "cache", 10 * SIZE).used_bytes() == 0
