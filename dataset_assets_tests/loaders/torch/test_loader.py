import functools
import operator

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dataset_assets.errors import ConfigurationError, MissingColumn, SourceError
from dataset_assets.loaders.torch.loader import LoaderOptions, LoaderSource, ShardLoader, ShardRows
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.small_loaders import (
    global_batches,
    image_patch,
    label_and_noise,
    labels,
    make,
)
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set

SPEC = SetSpec(counts=(9, 0, 13, 8, 7), failed=1)  # 37 samples


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("set")))
    write_set(store, SPEC)
    return store


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("images")))
    write_set(store, SetSpec(counts=(10, 10), images=True))
    return store


def test_every_sample_occurs_once_in_an_epoch(store):
    batches = labels(make(store))
    assert [len(batch) for batch in batches] == [8, 8, 8, 8, 5]
    assert sorted(functools.reduce(operator.iadd, batches, [])) == list(range(37))


@pytest.mark.parametrize(
    ("world_size", "workers"), [(1, 0), (1, 1), (1, 2), (1, 4), (2, 0), (2, 2), (4, 0), (4, 2)]
)
def test_global_batches_are_the_same_when_workers_or_ranks_differ(store, world_size, workers):
    expected = labels(make(store))
    found = global_batches(store, world_size, num_workers=workers)
    assert found[:-1] == expected[:-1]
    assert found[-1][:5] == expected[-1] or world_size > 1
    assert set(found[-1]) == set(expected[-1])


def test_augmentation_is_the_same_when_workers_or_ranks_differ(images):
    expected = list(make(images, image_patch, num_workers=0))
    for options in ({"num_workers": 2}, {"num_workers": 1, "start_method": "spawn"}):
        for batch, other in zip(expected, make(images, image_patch, **options), strict=True):
            assert all(torch.equal(one, two) for one, two in zip(batch, other, strict=True))
    halves = [list(make(images, image_patch, rank=rank, world_size=2)) for rank in (0, 1)]
    assert torch.equal(expected[0][0], torch.cat([halves[0][0][0], halves[1][0][0]]))


def test_batches_are_tensors_of_images_and_labels_when_stacked(images):
    image, mask, label = next(iter(make(images, image_patch)))
    assert (image.shape, image.dtype) == ((8, 3, 16, 32), torch.uint8)
    assert (mask.shape, mask.dtype) == ((8, 16, 32), torch.uint8)
    assert set(mask.unique().tolist()) <= {0, 1, 2, 3}
    assert (label.shape, label.dtype) == ((8,), torch.int64)


def test_epochs_differ_and_follow_each_other_when_iterated(store):
    loader = make(store)
    epochs = [labels(loader) for _ in range(3)]
    assert loader.epoch == 3
    assert len({str(epoch) for epoch in epochs}) == 3
    again = make(store)
    again.set_epoch(2)
    assert labels(again) == epochs[2]


def test_next_epoch_follows_when_the_last_was_interrupted(store):
    for workers in (0, 2):
        loader = make(store, num_workers=workers)
        for _ in loader:
            break
        assert loader.epoch == 0
        expected = make(store)
        expected.set_epoch(1)
        assert labels(loader) == labels(expected)
        iter(loader)  # nothing was taken
        loader.set_epoch(0)
        assert labels(loader) == labels(make(store))


def test_order_is_that_of_the_set_when_not_shuffled(store):
    loader = make(store, shuffle=False, global_batch_size=10)
    assert functools.reduce(operator.iadd, labels(loader), []) == list(range(37))
    assert functools.reduce(operator.iadd, labels(loader), []) == list(range(37))


def test_two_passes_are_equal_when_validating(images):
    def passed():
        return list(make(images, image_patch, shuffle=False, global_batch_size=6))

    one, two = passed(), passed()
    assert sum(len(batch[0]) for batch in one) == 20
    assert all(
        torch.equal(a, b)
        for batch, other in zip(one, two, strict=True)
        for a, b in zip(batch, other, strict=True)
    )


@pytest.mark.parametrize(
    ("samples", "options", "sizes", "padded"),
    [
        (37, {"drop_last": True}, [2, 2, 2, 2], 0),
        (37, {"pad": "repeat"}, [2, 2, 2, 2, 2], 3),
        (37, {"pad": "drop"}, [2, 2, 2, 2, 1], -1),
        (1, {"pad": "repeat"}, [1], 3),
        (1, {"pad": "drop"}, [], -1),
        (8, {}, [2], 0),
    ],
)
def test_batches_are_equal_on_all_ranks_when_samples_do_not_divide(
    tmp_path, samples, options, sizes, padded
):
    write_set(Store(str(tmp_path)), SetSpec(counts=(samples,)))
    loaders = [make(str(tmp_path), rank=rank, world_size=4, **options) for rank in range(4)]
    drawn = [labels(loader) for loader in loaders]
    assert [[len(batch) for batch in batches] for batches in drawn] == [sizes] * 4
    assert [len(loader) for loader in loaders] == [len(sizes)] * 4
    assert loaders[0].metrics()["padded"] == padded
    flat = functools.reduce(operator.iadd, functools.reduce(operator.iadd, drawn, []), [])
    assert len(flat) - len(set(flat)) == max(padded, 0)


def test_sources_are_mixed_when_several_are_given(store, tmp_path):
    write_set(Store(str(tmp_path)), SetSpec(counts=(20,), prefix="t"))
    sources = [
        LoaderSource(rows=ShardRows(store), weight=1),
        LoaderSource(rows=ShardRows(str(tmp_path)), weight=1),
    ]

    def which(sample, rng):
        return (sample.source, sample.key.startswith("t"), sample.index)

    loader = ShardLoader(sources, which, options=LoaderOptions(global_batch_size=10))
    batches = list(loader)
    assert [int(batch[0].sum()) for batch in batches] == pytest.approx([5] * 4, abs=2)
    assert all(torch.equal(batch[0] == 1, batch[1]) for batch in batches)
    assert loader.metrics()["samples_per_epoch"] == [20, 20]


def test_collate_gets_the_random_generator_of_the_batch(store):
    def collate(samples, rng):
        return sorted(label for label, _ in samples), rng.random()

    def drawn(workers):
        return list(
            ShardLoader(
                ShardRows(store), label_and_noise, collate, options=_options(num_workers=workers)
            )
        )

    assert drawn(0) == drawn(2)
    assert len({draw for _, draw in drawn(0)}) == 5


def _options(**options):
    return LoaderOptions(**{"global_batch_size": 8, "columns": ("label",), **options})


def test_parts_are_the_named_ones(images):
    def named(sample, rng):
        return (sorted(sample.parts), sample.extension, sample.columns)

    loader = ShardLoader(
        ShardRows(images),
        named,
        lambda samples, rng: samples,
        options=LoaderOptions(parts=("seg.png",)),
    )
    assert next(iter(loader))[0] == (["seg.png"], "jpg", {})


def test_plain_dataloader_gives_the_same_when_made_of_its_parts(store):
    # accelerate and Lightning create a DataLoader from dataset, batch sampler and collate function
    loader = make(store)
    plain = DataLoader(
        loader.dataset,
        batch_sampler=loader.batch_sampler,
        collate_fn=loader.collate_fn,
        num_workers=2,
    )
    assert labels(plain) == labels(make(store))
    assert loader.dataset[3][0] == 3
    assert len(loader.dataset) == 37


def test_metrics_count_samples_and_batches(store):
    loader = make(store, num_workers=2)
    list(loader)
    found = loader.metrics()
    assert (found["samples"], found["batches"], found["bad_samples"]) == (37, 5, 0)
    assert found["samples_per_s"] > 0
    assert 0 < found["wait_fraction"] <= 1
    assert found["bytes_read"] > 37 * 10


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"global_batch_size": 0}, "global_batch_size: expected an integer of at least 1, got 0"),
        ({"rank": 2, "world_size": 2}, "rank: expected a number below world_size, 2, got 2"),
        ({"world_size": 3}, "global_batch_size: expected a multiple of world_size, 3, got 8"),
        ({"pad": "zeros"}, "pad: expected one of repeat, drop, got 'zeros'"),
        ({"bad_samples": "ignore"}, "bad_samples: expected one of"),
        ({"max_bad_fraction": 2}, "max_bad_fraction: expected a number from 0 to 1, got 2"),
        ({"num_workers": "2"}, "num_workers: expected an integer of at least 0, got '2'"),
    ],
)
def test_options_are_refused_when_they_are_invalid(options, match):
    with pytest.raises(ConfigurationError, match=match):
        _options(**options)


def test_missing_column_is_named_when_the_loader_is_created(store):
    with pytest.raises(MissingColumn, match="no column 'lable'"):
        make(store, columns=("lable",))


def test_loader_is_refused_when_there_are_no_samples(tmp_path):
    write_set(Store(str(tmp_path)), SetSpec(counts=(0,), failed=3))
    with pytest.raises(SourceError, match="has no samples to load"):
        make(str(tmp_path))


def test_samples_are_skipped_when_not_kept(store):
    rows = ShardRows(store)
    keep = rows.column("label") % 5 != 0
    loader = ShardLoader(LoaderSource(rows=rows, keep=keep), label_and_noise, options=_options())
    assert (
        sorted(functools.reduce(operator.iadd, labels(loader), [])) == np.flatnonzero(keep).tolist()
    )
