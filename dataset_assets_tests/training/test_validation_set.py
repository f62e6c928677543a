"""Any number of rows with any number of replicas: equal counts, nothing lost, padding marked."""

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.training.validation_set import ValidationSample, ValidationSet

REPLICAS = [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (8, 1), (4, 2), (2, 4), (1, 8)]


@pytest.mark.parametrize(("dp", "tp"), REPLICAS)
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 24])
def test_any_rows_with_any_replicas(rows, dp, tp):
    found = ValidationSet(tuple(ValidationSample(str(row)) for row in range(rows)))
    ranks = [found.for_rank(rank, dp=dp, tp=tp) for rank in range(dp * tp)]
    assert {len(items) for items in ranks} == {-(-rows // dp)}
    replicas = ranks[::tp]
    for rank, items in enumerate(ranks):
        assert items == replicas[rank // tp]
    kept = [item.row for items in replicas for item in items if not item.is_padding]
    assert sorted(kept) == list(range(rows))  # complete, and none twice
    padding = sum(item.is_padding for items in replicas for item in items)
    assert padding == -rows % dp
    assert all(item.sample.caption == str(item.row) for items in replicas for item in items)


@pytest.mark.parametrize("wrong", [{"rank": 2}, {"rank": -1}, {"dp": 0}, {"tp": 0}])
def test_wrong_ranks(wrong):
    found = ValidationSet((ValidationSample("A goat."),))
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}: expected an integer"):
        found.for_rank(**{"rank": 0, "dp": 2, **wrong})
