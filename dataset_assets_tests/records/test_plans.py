"""Which part of a plan has a shard, and how many rows."""

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.plans import Plan, PlanPart


def plan_of(*parts):
    return Plan(10, 32, ("url",), has_caption=False, parts=parts)


PLAN = plan_of(PlanPart("a", "", 25, 3, 3, ()), PlanPart("b", "", 10, 6, 1, ()))


def test_part_of_a_shard_is_found():
    assert [PLAN.part_of(shard).name for shard in (3, 4, 5, 6)] == ["a", "a", "a", "b"]
    assert [PLAN.rows_of(shard) for shard in (3, 4, 5, 6)] == [10, 10, 5, 10]


@pytest.mark.parametrize("shard", [-1, 0, 2, 7])
def test_shard_that_is_not_planned_is_refused(shard):
    with pytest.raises(ConfigurationError, match=rf"shard {shard}: .* of the plan \(3 to 6\)"):
        PLAN.rows_of(shard)
    with pytest.raises(ConfigurationError, match=rf"shard {shard}: .* of the plan \(none\)"):
        plan_of().part_of(shard)
