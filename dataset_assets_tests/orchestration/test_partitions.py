import dagster as dg
import pytest

from dataset_assets.errors import ConfigurationError, ObjectMissing, PlanMismatch
from dataset_assets.orchestration.partitions import (
    MAX_PARTITIONS,
    consecutive,
    extend_partitioning,
    load_partitioning,
    partitions_of,
    register,
)
from dataset_assets.records.plans import Plan, PlanPart
from dataset_assets.storage.store import open_store


def _plan(*shard_counts):
    parts, first = [], 0
    for number, count in enumerate(shard_counts):
        parts.append(PlanPart(f"list-{number}", f"{number}", count * 10, first, count, ()))
        first += count
    return Plan(
        samples_per_shard=10,
        shards_per_file=64,
        columns=("url",),
        has_caption=False,
        parts=tuple(parts),
    )


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def test_partition_is_one_shard_when_there_are_few(store):
    shards = extend_partitioning(store, _plan(3), None).shards()
    assert shards == {"00000": range(1), "00001": range(1, 2), "00002": range(2, 3)}


def test_partitions_end_with_their_list_when_they_hold_several_shards(store):
    shards = extend_partitioning(store, _plan(3, 5), 2).shards()
    assert shards == {
        "00000": range(2),
        "00002": range(2, 3),
        "00003": range(3, 5),
        "00005": range(5, 7),
        "00007": range(7, 8),
    }


def test_known_partitions_stay_when_lists_are_added_and_the_wish_changes(store):
    before = extend_partitioning(store, _plan(3), 2).shards()
    after = extend_partitioning(store, _plan(3, 2), 1).shards()
    assert list(after.items())[: len(before)] == list(before.items())
    assert list(after)[len(before) :] == ["00003", "00004"]
    assert load_partitioning(store).shards() == after


@pytest.mark.parametrize("shard_counts", [(30_000,), (4_000, 9_000, 50_000), (6_000,) * 12])
def test_partitions_stay_below_the_limit_when_lists_are_large(store, shard_counts):
    partitioning = extend_partitioning(store, _plan(*shard_counts), None)
    assert partitioning.count <= MAX_PARTITIONS
    assert partitioning.count == len(partitioning.shards())
    assert [shard for shards in partitioning.shards().values() for shard in shards] == list(
        range(sum(shard_counts))
    )


def test_wish_is_refused_with_a_number_that_works_when_it_makes_too_many_partitions(store):
    with pytest.raises(
        ConfigurationError, match=r"30,000 more shards at 2 per partition .* 10,000 .* at least 3"
    ):
        extend_partitioning(store, _plan(30_000), 2)
    assert extend_partitioning(store, _plan(30_000), 3).count == MAX_PARTITIONS


def test_list_is_refused_when_no_partition_is_left(store):
    extend_partitioning(store, _plan(MAX_PARTITIONS), 1)
    with pytest.raises(ConfigurationError, match="no more can be added"):
        extend_partitioning(store, _plan(MAX_PARTITIONS, 1), None)


def test_partitions_of_another_plan_are_refused_when_found(store):
    extend_partitioning(store, _plan(3), None)
    with pytest.raises(PlanMismatch, match="belongs to another plan"):
        extend_partitioning(store, _plan(4), None)


def test_newer_partitions_are_kept_when_an_older_plan_comes_late(store):
    newer = extend_partitioning(store, _plan(3, 2), None)
    assert extend_partitioning(store, _plan(3), None) == newer
    assert load_partitioning(store) == newer


def test_partitions_are_missing_when_nothing_was_planned(store):
    with pytest.raises(ObjectMissing):
        load_partitioning(store)


def test_keys_keep_the_order_of_the_plan_when_registered_in_steps():
    with dg.DagsterInstance.ephemeral() as instance:
        keys = [f"{number:05d}" for number in range(2500)]
        register(instance, "set", keys[:1500])
        register(instance, "set", keys)
        register(instance, "set", keys)
        assert instance.get_dynamic_partitions(partitions_of("set").name) == keys


def test_keys_are_registered_again_when_the_plan_was_made_anew():
    with dg.DagsterInstance.ephemeral() as instance:
        register(instance, "set", ["00000", "00002", "00004"])
        register(instance, "set", ["00000", "00001", "00002"])
        assert instance.get_dynamic_partitions(partitions_of("set").name) == [
            "00000",
            "00001",
            "00002",
        ]


@pytest.mark.parametrize(
    ("chosen", "most", "expected"),
    [
        ("", 3, []),
        ("abc", 3, [("a", "c")]),
        ("abcd", 3, [("a", "c"), ("d", "d")]),
        ("acd", 3, [("a", "a"), ("c", "d")]),
        ("abcdef", 1, [(key, key) for key in "abcdef"]),
    ],
)
def test_ranges_have_no_holes_and_are_cut_when_keys_are_chosen(chosen, most, expected):
    assert consecutive("abcdef", set(chosen), most) == expected
