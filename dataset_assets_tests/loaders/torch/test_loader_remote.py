"""The loader over stores that are not local: requests, cache, prefetching, fork; S3 by moto."""

import dataclasses
import threading
import time

import numpy as np
import pytest
import torch

from dataset_assets.loaders.order.epoch import window_order
from dataset_assets.loaders.samples.cache import ShardCache
from dataset_assets.loaders.samples.prefetch import (
    Downloads,
    Prefetcher,
    PrefetchLimits,
    shard_uses,
)
from dataset_assets.loaders.torch.loader import ShardRows
from dataset_assets.storage.stores.local import Store
from dataset_assets.storage.stores.s3 import Store as S3Store
from dataset_assets_tests.loaders.remote_store import RemoteStore
from dataset_assets_tests.loaders.small_loaders import global_batches, image_patch, labels, make
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set
from dataset_assets_tests.support.s3_server import CountingProxy, moto  # noqa: F401

SPEC = SetSpec(counts=(20,) * 12)


@pytest.fixture
def remote(tmp_path):
    write_set(Store(str(tmp_path / "set")), SPEC)
    return RemoteStore(tmp_path / "set", tmp_path / "log")


@pytest.fixture(scope="module")
def s3(moto):  # noqa: F811
    store = S3Store(f"s3://{moto.bucket('loader')}/images", moto.credentials)
    write_set(store, SetSpec(counts=(10,) * 8, images=True))
    return store


@pytest.mark.parametrize("workers", [0, 2])
def test_each_shard_is_requested_once_when_two_epochs_are_read(remote, tmp_path, workers):
    loader = make(remote, num_workers=workers, cache_dir=str(tmp_path / "cache"), window_shards=3)
    for epoch in range(2):
        local = make(str(tmp_path / "set"), window_shards=3)
        local.set_epoch(epoch)
        assert labels(loader) == labels(local)
    assert sorted(remote.requests("open")) == [f"open {number:05}.tar" for number in range(12)]
    assert len(remote.requests()) <= 12 + 20
    assert loader.metrics()["shards_downloaded"] == 12
    assert loader.metrics()["bytes_downloaded"] == sum(
        file.bytes for file in ShardRows(remote).files
    )


@pytest.mark.parametrize(("limit", "is_tight"), [(8, False), (2, True)])
def test_cache_stays_below_its_limit_when_the_set_is_larger(
    remote, tmp_path, caplog, limit, is_tight
):
    size = ShardRows(remote).files[0].bytes
    options = {"num_workers": 2, "window_shards": 2, "prefetch_shards": 4}
    loader = make(remote, cache_dir=str(tmp_path / "cache"), cache_bytes=limit * size, **options)
    expected = make(str(tmp_path / "set"), window_shards=2)
    cache, most = ShardCache(tmp_path / "cache", 0), 0
    for batch, other in zip(loader, expected, strict=True):
        most = max(most, cache.used_bytes())
        assert batch[0].tolist() == other[0].tolist()
        time.sleep(0.01)
    assert size < most <= limit * size
    assert ("downloaded repeatedly" in caplog.text) == is_tight
    assert (len(remote.requests("open")) > 12) == is_tight


def test_ranks_share_downloads_when_they_share_a_cache(remote, tmp_path):
    options = {"cache_dir": str(tmp_path / "cache"), "num_workers": 1}
    assert global_batches(remote, 2, **options) == global_batches(str(tmp_path / "set"), 1)
    assert len(remote.requests("open")) == 12


def test_every_sample_is_one_request_when_there_is_no_cache(remote, tmp_path):
    loader = make(remote, cache_bytes=0)
    before = len(remote.requests())
    assert labels(loader) == labels(make(str(tmp_path / "set")))
    assert len(remote.requests()) - before == 240


def test_downloads_continue_during_training_when_prefetching(tmp_path):
    write_set(Store(str(tmp_path / "set")), SetSpec(counts=(20,) * 12))
    slow = RemoteStore(tmp_path / "set", tmp_path / "log", latency_s=0.05)
    loader = make(
        slow, cache_dir=str(tmp_path / "cache"), window_shards=1, prefetch_shards=4, verify=False
    )
    for _ in loader:
        time.sleep(0.03)  # a step: a shard is needed every 75 ms, and takes 50 ms
    assert loader.metrics()["wait_s"] < 0.05 * 6  # without prefetching: 0.6 s


def test_requests_are_few_when_an_epoch_is_read_from_s3(s3, moto, tmp_path):  # noqa: F811
    with CountingProxy(moto.url) as proxy:
        store = S3Store(s3.url, dataclasses.replace(moto.credentials, endpoint_url=proxy.url))
        loader = make(
            ShardRows(store), image_patch, num_workers=2, cache_dir=str(tmp_path / "cache")
        )
        assert sum(len(batch[0]) for batch in loader) == 80
        assert proxy.total <= 8 + 20
        gets = [request for request in proxy.log if request.path.endswith(".tar")]
        assert sorted(request.path[-9:] for request in gets) == [
            f"{number:05}.tar" for number in range(8)
        ]
        proxy.reset()
        assert sum(len(batch[0]) for batch in loader) == 80
        assert proxy.total == 0


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 0},
        {"num_workers": 4},
        {"num_workers": 1, "start_method": "spawn"},
        {"num_workers": 4, "cache_bytes": 0},
    ],
    ids=str,
)
def test_images_are_right_when_workers_share_a_client_that_was_used_before(
    s3,
    moto,  # noqa: F811
    tmp_path,
    options,
):
    rows = ShardRows(s3)
    expected = list(make(s3, image_patch, cache_dir=str(tmp_path / "other"), num_workers=0))
    loader = make(rows, image_patch, **{"cache_dir": str(tmp_path / "cache"), **options})
    for batch, other in zip(loader, expected, strict=True):
        assert all(torch.equal(one, two) for one, two in zip(batch, other, strict=True))


@pytest.mark.alone
def test_network_is_not_the_bottleneck_when_requests_take_20_ms(s3, moto, tmp_path):  # noqa: F811
    def seconds(name, latency_s):
        with CountingProxy(moto.url, latency_s=0) as proxy:
            store = S3Store(s3.url, dataclasses.replace(moto.credentials, endpoint_url=proxy.url))
            loader = make(
                ShardRows(store),
                image_patch,
                num_workers=2,
                cache_dir=str(tmp_path / name),
                window_shards=2,
            )
            proxy.latency_s = latency_s
            began = time.monotonic()
            for _ in loader:
                time.sleep(0.02)
            return time.monotonic() - began

    assert seconds("slow", 0.02) < seconds("fast", 0.0) + 0.3


def test_shards_are_listed_in_the_order_of_first_use():
    rows = _shard_of_samples(5, 4)
    order = window_order(rows, 4, 2, seed=1, epoch=0)
    found = shard_uses(order, 6, rows)
    seen = rows[order[6:]].tolist()
    assert [need.shard for need in found] == list(dict.fromkeys(seen))
    assert [need.first for need in found] == [6 + seen.index(need.shard) for need in found]
    assert [need.last for need in found] == [
        len(order) - 1 - seen[::-1].index(need.shard) for need in found
    ]
    assert shard_uses(order, len(order), rows) == []


def _shard_of_samples(count, shards):
    return np.repeat(np.arange(shards, dtype=np.int32), count)


class _Shards:
    def __init__(self):
        self.fetched, self.released, self._lock = [], [], threading.Lock()

    def fetch(self, shard):
        with self._lock:
            self.fetched.append(shard)
        return 10

    def release(self, shard):
        self.released.append(shard)


def test_prefetcher_stays_within_limits():
    shards = _Shards()
    schedule = shard_uses(
        window_order(_shard_of_samples(10, 20), 20, 1, seed=0, epoch=0),
        0,
        _shard_of_samples(10, 20),
    )
    downloads = Downloads()
    prefetcher = Prefetcher(
        shards, schedule, [10] * 20, downloads, PrefetchLimits(ahead=3, max_bytes=1000)
    )
    _until(lambda: len(shards.fetched) == 4)  # the one in use, and three ahead
    prefetcher.advance(schedule[5].first)
    _until(lambda: len(shards.fetched) == 9)
    prefetcher.close()
    assert set(shards.fetched) == {need.shard for need in schedule[:9]}
    assert shards.released == [need.shard for need in schedule[:5]]
    _until(lambda: (downloads.shards, downloads.bytes) == (9, 90))
    tight = Prefetcher(
        _Shards(), schedule, [10] * 20, Downloads(), PrefetchLimits(ahead=8, max_bytes=25)
    )
    time.sleep(0.1)
    assert tight._next == 2
    tight.close()


def _until(condition):
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.05)
    assert condition()
