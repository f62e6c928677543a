import functools
import json
import operator

import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError, LoaderStateMismatch
from dataset_assets.loaders.torch.loader import LoaderOptions, LoaderSource, ShardLoader, ShardRows
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.small_loaders import label_and_noise, labels
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set


def _options(**options):
    return LoaderOptions(**{"global_batch_size": 8, "columns": ("label",), **options})


def test_batches_have_one_group_and_are_the_same_when_ranks_differ(tmp_path):
    write_set(Store(str(tmp_path)), SetSpec(counts=(30, 25, 18)))
    rows = ShardRows(str(tmp_path))
    groups = rows.column("label") % 3

    def drawn(world_size, **options):
        source = LoaderSource(rows=rows, groups=groups)
        loaders = [
            ShardLoader(
                source,
                label_and_noise,
                options=_options(rank=rank, world_size=world_size, **options),
            )
            for rank in range(world_size)
        ]
        assert len({len(loader) for loader in loaders}) == 1
        parts = zip(*(labels(loader) for loader in loaders), strict=True)
        return loaders[0], [functools.reduce(operator.iadd, part, []) for part in parts]

    loader, batches = drawn(1)
    assert all(len({label % 3 for label in batch}) == 1 for batch in batches)
    assert sorted(functools.reduce(operator.iadd, batches, [])) == sorted(rows.column("label"))
    assert loader.metrics()["left_out"] == 0
    full = [batch for batch in batches if len(batch) == loader.options.global_batch_size]
    for world_size in (2, 4):
        other, others = drawn(world_size)
        assert len(others) == len(batches)
        assert [set(one) for one in others] == [set(one) for one in batches]
        assert other.metrics()["padded"] == sum(map(len, others)) - 73
    loader, others = drawn(2, drop_last=True)
    assert others == full
    assert loader.metrics()["left_out"] == 73 - sum(map(len, full))


def test_grouped_loader_resumes_with_other_ranks(tmp_path):
    write_set(Store(str(tmp_path)), SetSpec(counts=(30, 25, 18)))
    rows = ShardRows(str(tmp_path))

    def loader(groups=3, **options):
        source = LoaderSource(rows=rows, groups=rows.column("label") % groups, weight=1)
        return ShardLoader(
            [source, LoaderSource(rows=rows, groups=rows.column("label") % groups, weight=2)],
            label_and_noise,
            options=_options(samples_per_epoch=50, **options),
        )

    whole = loader()
    epochs = [labels(whole) for _ in range(3)]
    assert {sum(map(len, epoch)) for epoch in epochs} == {50}
    for taken in range(1, len(epochs[1]) + 1):
        stopped = loader()
        stopped.set_epoch(1)
        batches = iter(stopped)
        for _ in range(taken):
            next(batches)
        state = stopped.state_dict()
        batches.close()
        assert len(json.dumps(state)) < 1024
        rest = []
        for rank in range(2):
            resumed = loader(rank=rank, world_size=2)
            resumed.load_state_dict(state)
            assert len(resumed) == len(epochs[resumed.epoch])
            rest.append(labels(resumed))
        joined = [set(one) | set(two) for one, two in zip(*rest, strict=True)]
        expected = epochs[1][taken:] or epochs[2]
        assert joined == [set(batch) for batch in expected]
    with pytest.raises(LoaderStateMismatch, match="or `groups` changed"):
        loader(groups=2).load_state_dict(state)


def test_groups_are_checked(tmp_path):
    write_set(Store(str(tmp_path)), SetSpec(counts=(8,)))
    rows = ShardRows(str(tmp_path))
    with pytest.raises(ConfigurationError, match="groups: expected 8 values, one per sample"):
        LoaderSource(rows=rows, groups=np.zeros(7, int))
    with pytest.raises(ConfigurationError, match="groups: expected integers, got float64"):
        LoaderSource(rows=rows, groups=np.zeros(8))
    with pytest.raises(ConfigurationError, match="groups: expected them for each of 2 sources"):
        ShardLoader([LoaderSource(rows=rows, groups=np.zeros(8, int)), rows], label_and_noise)
