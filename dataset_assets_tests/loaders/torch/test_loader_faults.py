import functools
import gc
import multiprocessing
import operator
import os
import time

import pytest

from dataset_assets.errors import (
    ConfigurationError,
    ObjectMissing,
    ShardCorrupt,
    SourceError,
    TooManyBadSamples,
)
from dataset_assets.loaders.torch.loader import ShardRows
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.remote_store import RemoteStore
from dataset_assets_tests.loaders.small_loaders import (
    BadLabels,
    DyingAt,
    global_batches,
    image_patch,
    labels,
    make,
)
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set

SPEC = SetSpec(counts=(20, 20, 20))
BAD = frozenset({3, 22, 23})


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "set"))
    write_set(store, SPEC)
    return store


@pytest.fixture
def remote(store, tmp_path):
    return RemoteStore(tmp_path / "set", tmp_path / "log")


def test_loader_raises_soon_when_a_worker_is_killed(store):
    loader = make(store, DyingAt(30), num_workers=2)
    began = time.monotonic()
    with pytest.raises(
        RuntimeError, match=r"DataLoader worker .* (is killed by signal|exited unexpectedly)"
    ):
        list(loader)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("options", [{}, {"persistent_workers": False}], ids=str)
def test_workers_exit_at_once_when_a_sample_is_bad(store, options):
    loader = make(store, BadLabels({22}), num_workers=2, **options)
    with pytest.raises(SourceError) as raised:
        list(loader)
    began = time.monotonic()
    del loader
    gc.collect()
    assert raised.value.args
    assert multiprocessing.active_children() == []
    assert time.monotonic() - began < 4


def test_loader_works_again_when_a_worker_was_killed(store):
    loader = make(store, DyingAt(30), num_workers=2)
    with pytest.raises(RuntimeError):
        list(loader)
    loader.dataset._transform = BadLabels(())
    loader.set_epoch(0)
    assert sorted(functools.reduce(operator.iadd, labels(loader), [])) == list(range(60))


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (None, "00001.tar is missing, expected 81920 bytes"),
        (5000, "00001.tar has 5000 bytes, expected 81920 bytes"),
    ],
)
def test_shard_is_named_before_the_epoch_when_it_is_cut_or_missing(store, damage, match):
    body = store.read("00001.tar")
    store.delete("00001.tar")
    if damage:
        store.write("00001.tar", body[:damage])
    with pytest.raises(ShardCorrupt, match=match):
        make(store)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["local", "cached", "direct"])
def test_one_clear_error_names_the_shard_when_it_is_cut_during_training(
    store, remote, tmp_path, kind, workers
):
    options = {
        "cache_dir": str(tmp_path / "cache"),
        "cache_bytes": 0 if kind == "direct" else 1 << 20,
    }
    loader = make(store if kind == "local" else remote, num_workers=workers, **options)
    store.write("00001.tar", store.read("00001.tar")[:5000])
    with pytest.raises(ShardCorrupt, match=r"00001\.tar ") as raised:
        list(loader)
    assert "\n" not in str(raised.value)
    assert "again" in str(raised.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_one_clear_error_names_the_shard_when_it_is_deleted_during_training(
    store, remote, tmp_path, workers
):
    loader = make(remote, num_workers=workers, cache_dir=str(tmp_path / "cache"))
    store.delete("00002.tar")
    with pytest.raises(
        ObjectMissing,
        match="^shard 00002.tar of remote://set does not exist, but the manifest lists it: "
        "stage or download it again$",
    ):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_sample_is_named_when_none_is_allowed(store, workers):
    loader = make(store, BadLabels({22}), num_workers=workers)
    with pytest.raises(
        SourceError,
        match=r"^bad sample s000022 in .*00001.tar: it is bad; "
        "set bad_samples='skip' or 'replace' to continue without it$",
    ):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_samples_are_missing_when_skipped(store, workers):
    loader = make(
        store, BadLabels(BAD), bad_samples="skip", max_bad_fraction=0.1, num_workers=workers
    )
    for epoch in range(2):
        batches = labels(loader)
        assert sorted(functools.reduce(operator.iadd, batches, [])) == [
            each for each in range(60) if each not in BAD
        ]
        assert len(batches) == 8
        found = loader.metrics()
        assert found["bad_samples"] == 3 * (epoch + 1)
    assert [key.split(" ")[0] for key in found["bad_keys"]] == ["s000003", "s000022", "s000023"]


def test_replacements_are_the_same_when_workers_or_ranks_differ(store):
    options = {"transform": BadLabels(BAD), "bad_samples": "replace", "max_bad_fraction": 0.1}
    expected = labels(make(store, **options))
    assert [len(batch) for batch in expected] == [8] * 7 + [4]
    assert not BAD & set(functools.reduce(operator.iadd, expected, []))
    good = labels(make(store))
    changed = [
        (one, two)
        for batch, other in zip(good, expected, strict=True)
        for one, two in zip(batch, other, strict=True)
        if one != two
    ]
    assert sorted(changed) == [(3, 4), (22, 21), (23, 24)]  # its neighbours in the same shard
    assert labels(make(store, num_workers=2, **options)) == expected
    assert global_batches(store, 2, **options) == expected


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("policy", ["skip", "replace"])
def test_loader_stops_soon_when_everything_is_bad(store, policy, workers):
    loader = make(
        store, BadLabels(range(60)), bad_samples=policy, max_bad_fraction=1.0, num_workers=workers
    )
    began = time.monotonic()
    with pytest.raises(TooManyBadSamples, match=r"s0000\d\d in .*tar"):
        list(loader)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_stops_when_more_are_bad_than_allowed(store, workers):
    loader = make(
        store,
        BadLabels(range(0, 60, 6)),
        bad_samples="skip",
        max_bad_fraction=0.05,
        num_workers=workers,
    )
    with pytest.raises(
        TooManyBadSamples,
        match="more than 3 bad samples in epoch 0, the last is s0000.*see max_bad_fraction",
    ):
        list(loader)


def test_damaged_image_is_a_bad_sample_when_decoded(tmp_path):
    store = Store(str(tmp_path / "images"))
    write_set(store, SetSpec(counts=(10,), images=True, broken=frozenset({4})))
    with pytest.raises(SourceError, match="bad sample s000004 in"):
        list(make(store, image_patch))
    loader = make(store, image_patch, bad_samples="skip", max_bad_fraction=0.1)
    assert sorted(label for batch in loader for label in batch[2].tolist()) == [
        0,
        1,
        2,
        3,
        5,
        6,
        7,
        8,
        9,
    ]


def _broken(sample, rng):
    raise ZeroDivisionError("a mistake in the transform")


@pytest.mark.parametrize("workers", [0, 2])
def test_exception_of_the_transform_is_not_a_bad_sample_when_skipping(store, workers):
    with pytest.raises(ZeroDivisionError, match="a mistake in the transform"):
        list(make(store, _broken, bad_samples="skip", num_workers=workers))


def test_cache_is_refused_when_a_shard_does_not_fit(remote, tmp_path):
    with pytest.raises(
        ConfigurationError,
        match="cache_bytes: 10000 is less than one shard, 00000.tar with 81920 bytes",
    ):
        make(remote, cache_dir=str(tmp_path / "cache"), cache_bytes=10_000)


def _rss_mb(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_memory_of_workers_does_not_grow_when_epochs_pass(tmp_path):
    store = Store(str(tmp_path / "large"))
    write_set(store, SetSpec(counts=(400,) * 3, padding=20_000))
    loader = make(ShardRows(store), num_workers=2, global_batch_size=16)
    sizes = []
    for _ in range(5):
        list(loader)
        sizes.append(sum(_rss_mb(worker.pid) for worker in loader._iterator._workers))
    assert sizes[-1] < 1.05 * sizes[1]
