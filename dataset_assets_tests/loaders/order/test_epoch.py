from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.order.epoch import EpochOrder, window_order
from dataset_assets.loaders.order.random_streams import batch_random, sample_random


class _Rows(SimpleNamespace):
    def __len__(self):
        return len(self.shard)


def _rows(*counts):
    shard = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return _Rows(shard=shard, shard_bytes=(1,) * len(counts), url="set")


def _order(*sources, **options):
    return EpochOrder(
        [each if isinstance(each, LoaderSource) else LoaderSource(rows=each) for each in sources],
        LoaderOptions(**options),
    )


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=20),
    st.integers(1, 25),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**63),
)
def test_every_sample_occurs_once_when_shuffled(counts, window, seed, epoch):
    shard = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    order = window_order(shard, len(counts), window, seed=seed, epoch=epoch)
    assert np.array_equal(np.sort(order), np.arange(len(shard)))


def test_order_never_changes_when_versions_do():
    # literals: a run that is resumed after an upgrade must find its place again
    rows = _rows(4, 3, 5)
    assert _order(rows, seed=7, window_shards=2).epoch(3).tolist() == [
        2,
        1,
        0,
        10,
        3,
        4,
        7,
        8,
        6,
        9,
        11,
        5,
    ]
    assert _order(rows, seed=7).epoch(3).tolist() == [4, 2, 1, 6, 0, 10, 7, 8, 5, 3, 9, 11]


def test_order_is_as_stored_when_not_shuffled():
    assert _order(_rows(3, 2), shuffle=False).epoch(5).tolist() == [0, 1, 2, 3, 4]


def test_order_differs_when_seed_or_epoch_differ():
    orders = {
        tuple(_order(_rows(20, 20, 20), seed=seed, window_shards=2).epoch(epoch))
        for seed in range(6)
        for epoch in range(6)
    }
    assert len(orders) == 36


@pytest.mark.parametrize("window", [1, 2, 8])
def test_few_shards_are_in_use_at_a_time_when_the_window_glides(window):
    rows = _rows(*[50] * 40)
    shard = rows.shard[_order(rows, window_shards=window).epoch(0)]
    first = np.array([np.flatnonzero(shard == each)[0] for each in range(40)])
    last = np.array([np.flatnonzero(shard == each)[-1] for each in range(40)])
    live = [int(((first <= place) & (last >= place)).sum()) for place in range(len(shard))]
    assert max(live) <= window + 1
    assert np.mean(live) > window * 0.8


def test_batches_mix_as_many_shards_as_the_window_when_shuffled():
    rows = _rows(*[100] * 64)
    shard = rows.shard[_order(rows, window_shards=8).epoch(1)]
    mixed = [len(np.unique(shard[start : start + 64])) for start in range(0, len(shard), 64)]
    assert min(mixed) >= 4
    assert np.median(mixed) >= 7


def test_every_position_is_equally_likely_when_the_window_is_the_whole_set():
    order = np.array([_order(_rows(4, 4), seed=seed).epoch(0) for seed in range(4000)])
    counts = np.array([np.bincount(order[:, place], minlength=8) for place in range(8)])
    assert np.abs(counts - 500).max() < 110  # 5 sigma


@pytest.mark.parametrize(
    ("stop", "expected"), [("first_exhausted", [10, 30]), ("all_exhausted", [20, 60])]
)
def test_sources_have_their_share_when_weighted(stop, expected):
    order = _order(
        LoaderSource(rows=_rows(10), weight=1),
        LoaderSource(rows=_rows(30, 30), weight=3),
        stop=stop,
    )
    assert order.counts == expected
    for epoch in range(3):
        drawn = order.epoch(epoch)
        assert [int((drawn < 10).sum()), int((drawn >= 10).sum())] == expected
        share = np.cumsum(drawn < 10) - np.arange(1, len(drawn) + 1) / 4
        assert np.abs(share).max() <= 2  # at any place as much of each has come as its weight says


def test_every_sample_is_used_in_time_when_an_epoch_takes_a_part():
    order = _order(
        LoaderSource(rows=_rows(5), weight=1),
        LoaderSource(rows=_rows(7, 8), weight=1),
        window_shards=1,
    )
    drawn = np.concatenate([order.epoch(epoch) for epoch in range(6)])
    counts = np.bincount(drawn, minlength=20)
    assert counts[:5].tolist() == [6] * 5
    assert counts[5:].tolist() == [2] * 15  # 6 epochs of 5 are two passes over 15


def test_samples_repeat_evenly_when_all_must_be_exhausted():
    order = _order(
        LoaderSource(rows=_rows(4), weight=1),
        LoaderSource(rows=_rows(10), weight=1),
        stop="all_exhausted",
    )
    counts = np.bincount(order.epoch(0), minlength=14)
    assert sorted(counts[:4].tolist()) == [2, 2, 3, 3]
    assert counts[4:].tolist() == [1] * 10


def test_epoch_has_the_requested_length_when_samples_per_epoch_is_given():
    order = _order(
        *(LoaderSource(rows=_rows(9), weight=weight) for weight in (1, 1, 1)), samples_per_epoch=100
    )
    assert order.counts == [34, 33, 33]
    assert len(order.epoch(4)) == 100


def test_samples_are_drawn_by_weight_when_they_have_weights():
    weights = np.array([0.0] * 10 + [1.0] * 10 + [3.0] * 10)
    order = _order(LoaderSource(rows=_rows(10, 10, 10), sample_weights=weights))
    counts = np.bincount(np.concatenate([order.epoch(epoch) for epoch in range(400)]), minlength=30)
    assert counts.sum() == 30 * 400
    assert counts[:10].sum() == 0
    assert abs(counts[10:20].sum() / 12_000 - 0.25) < 0.02


def test_samples_are_left_out_when_not_kept():
    keep = np.arange(12) % 3 != 0
    order = _order(LoaderSource(rows=_rows(6, 6), keep=keep))
    assert order.samples == 8
    assert sorted(order.epoch(0).tolist()) == np.flatnonzero(keep).tolist()


def test_each_sample_occurs_several_times_in_a_row_when_repeated():
    drawn = _order(_rows(10, 10), repeats=3).epoch(0)
    assert len(drawn) == 20
    assert len(set(drawn.tolist())) == 7
    assert all(len(set(drawn[start : start + 3].tolist())) == 1 for start in range(0, 20, 3))


def test_randomness_depends_on_the_position():
    draws = {
        sample_random(1, epoch, position).random() for epoch in range(3) for position in range(50)
    }
    assert len(draws) == 150
    assert (
        sample_random(1, 2, 3).random()
        == sample_random(1, 2, 3).random()
        != batch_random(1, 2, 3).random()
    )


@pytest.mark.parametrize(
    ("sources", "options", "error", "match"),
    [
        ([_rows()], {}, SourceError, "set has no samples to load"),
        (
            [LoaderSource(rows=_rows(3), keep=np.zeros(3, bool))],
            {},
            SourceError,
            "3 in its index, none kept",
        ),
        (
            [LoaderSource(rows=_rows(3), weight=1), _rows(3)],
            {},
            ConfigurationError,
            "expected one for each of 2 sources or for none, got 1",
        ),
        ([_rows(3)], {"samples_per_epoch": 3}, ConfigurationError, "needs weights"),
        (
            [LoaderSource(rows=_rows(3), weight=1)],
            {"samples_per_epoch": 0},
            ConfigurationError,
            "samples_per_epoch: expected at least 1",
        ),
    ],
)
def test_order_is_refused_when_sources_and_options_contradict(sources, options, error, match):
    with pytest.raises(error, match=match):
        _order(*sources, **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"keep": np.ones(2, bool)}, "keep: expected 3 values, one per sample of set"),
        ({"sample_weights": np.zeros(3)}, "sample_weights: expected numbers from 0, not all 0"),
        ({"sample_weights": np.array([1, -1, 1])}, "sample_weights: expected numbers from 0"),
        ({"sample_weights": np.array([1, np.nan, 1])}, "sample_weights: expected numbers from 0"),
        ({"weight": 0}, "weight: expected a number above 0"),
    ],
)
def test_source_is_refused_when_it_is_invalid(options, match):
    with pytest.raises(ConfigurationError, match=match):
        LoaderSource(rows=_rows(3), **options)
