import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.order.random_streams import permutation


@given(st.integers(0, 3000), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_every_number_occurs_once_when_permuted(count, seed, epoch):
    assert np.array_equal(np.sort(permutation(count, seed=seed, epoch=epoch)), np.arange(count))


def test_order_never_changes_when_versions_do():
    # literals: a run that is resumed after an upgrade must find its place again
    assert permutation(10, seed=7, epoch=3).tolist() == [2, 5, 9, 7, 3, 0, 6, 8, 4, 1]


def test_order_differs_when_seed_or_epoch_differ():
    orders = {
        tuple(permutation(100, seed=seed, epoch=epoch)) for seed in range(10) for epoch in range(10)
    }
    assert len(orders) == 100
    assert tuple(range(100)) not in orders


def test_every_position_is_equally_likely_when_many_orders_are_drawn():
    places = np.array([permutation(8, seed=seed, epoch=0) for seed in range(8000)])
    counts = np.array([np.bincount(places[:, column], minlength=8) for column in range(8)])
    assert np.abs(counts - 1000).max() < 160  # 5 sigma


@pytest.mark.parametrize(
    "wrong", [{"count": -1}, {"seed": -1}, {"epoch": -1}, {"seed": 2**64}, {"count": 2**40}]
)
def test_order_is_refused_when_a_number_is_invalid(wrong):
    with pytest.raises(
        ConfigurationError, match=f"{next(iter(wrong))}: expected an integer from 0 to"
    ):
        permutation(**{"count": 3, "seed": 0, "epoch": 0, **wrong})
