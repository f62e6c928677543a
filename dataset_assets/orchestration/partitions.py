"""Which shards belong to which partition, and the registration of partitions with Dagster.

A partition has consecutive shards of one list. Its key is the zero-padded number of the first one,
and its shard set is in `shards/<key>/`. The number of shards in a partition is set when its list is
planned, and stored next to the plan, so it never changes. Dagster recomputes the keys of a range
from the order of registration: keys are registered in ascending order and only appended.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from dataset_assets.errors import ConfigurationError, ObjectMissing, PlanMismatch
from dataset_assets.records.plans import Plan
from dataset_assets.records.stored_json import parse_stored
from dataset_assets.records.typed_json import Count, PositiveCount, decode, load_object
from dataset_assets.shards.naming import shard_name
from dataset_assets.storage.store import Store

#: Dagster's pages and its backfill daemon stay fast up to this number.
MAX_PARTITIONS = 10_000
FILE = "partitions.json"
_REGISTER_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class PartitionGroup:
    """The partitions of one list."""

    first_shard: Count
    shard_count: Count
    shards_per_partition: PositiveCount

    def firsts(self) -> range:
        """Return the first shard of every partition."""
        return range(
            self.first_shard, self.first_shard + self.shard_count, self.shards_per_partition
        )


@dataclass(frozen=True, slots=True)
class Partitioning:
    """All partitions of a dataset, in order."""

    groups: tuple[PartitionGroup, ...] = ()

    def shards(self) -> dict[str, range]:
        """Return the shards of each partition."""
        return {
            shard_name(first, 5): range(
                first,
                min(first + group.shards_per_partition, group.first_shard + group.shard_count),
            )
            for group in self.groups
            for first in group.firsts()
        }

    @property
    def count(self) -> int:
        """Number of partitions."""
        return sum(len(group.firsts()) for group in self.groups)


def partitions_name(dataset: str) -> str:
    """Return the name of the partitions definition of a dataset."""
    return f"{dataset}__shards"


def partitions_of(dataset: str) -> dg.DynamicPartitionsDefinition:
    """Return the partitions definition of the shards of a dataset."""
    return dg.DynamicPartitionsDefinition(name=partitions_name(dataset))


def load_partitioning(plan_store: Store) -> Partitioning:
    """Read the partitions of a plan.

    Raises:
        ObjectMissing: no list has been planned yet.
        ShardCorrupt: it is malformed, or has more than `MAX_PARTITIONS`.
    """
    return parse_stored(
        plan_store.read(FILE),
        _parse,
        where=plan_store.locate(FILE),
        expected="the partitions of a plan",
        remedy="delete it and plan.json, and the shards, to start over",
    )


def _parse(data: bytes) -> Partitioning:
    groups = decode(tuple[tuple[Count, Count, PositiveCount], ...], load_object(data)["groups"])
    partitioning = Partitioning(tuple(PartitionGroup(*group) for group in groups))
    if partitioning.count > MAX_PARTITIONS:
        raise ValueError(f"{partitioning.count} partitions, expected at most {MAX_PARTITIONS}")
    return partitioning


def extend_partitioning(
    plan_store: Store, plan: Plan, shards_per_partition: int | None
) -> Partitioning:
    """Add partitions for the lists of a plan that have none yet. Idempotent.

    Args:
        plan_store: has the plan, and gets `partitions.json`.
        plan: the lists, with the shards of each.
        shards_per_partition: of new lists; None: as few as the limit allows.

    Raises:
        ConfigurationError: there would be more than `MAX_PARTITIONS`.
        PlanMismatch: the stored partitions are those of another plan.
    """
    try:
        known = load_partitioning(plan_store).groups
    except ObjectMissing:
        known = ()
    planned = [(part.first_shard, part.shard_count) for part in plan.parts]
    if any(
        pair != (group.first_shard, group.shard_count)
        for pair, group in zip(planned, known, strict=False)
    ):
        raise PlanMismatch(
            f"{plan_store.locate(FILE)} belongs to another plan than plan.json in the same folder; "
            "delete both, and the shards, to start over"
        )
    partitioning = Partitioning(known)
    for first_shard, shard_count in planned[len(known) :]:
        size = _group_size(shard_count, MAX_PARTITIONS - partitioning.count, shards_per_partition)
        partitioning = Partitioning(
            (*partitioning.groups, PartitionGroup(first_shard, shard_count, size))
        )
    if len(partitioning.groups) > len(known):
        plan_store.write(
            FILE, json.dumps({"groups": [astuple(group) for group in partitioning.groups]}).encode()
        )
    return partitioning


def _group_size(shard_count: int, free: int, wanted: int | None) -> int:
    """Return how many shards a partition of a list has.

    Without a `wanted` number, the list takes at most half of the free partitions.
    """
    if free < 1:
        raise ConfigurationError(
            f"this dataset has {MAX_PARTITIONS:,} partitions, no more can be added: put new lists "
            "into another dataset"
        )
    if wanted is None:
        return max(1, -(-shard_count // max(1, free // 2)))
    if -(-shard_count // wanted) > free:
        needed = -(-shard_count // free)
        raise ConfigurationError(
            f"shards_per_partition: {shard_count:,} more shards at {wanted} per partition need "
            f"more than the {free:,} partitions that are left; expected at least {needed}, or "
            "more samples_per_shard"
        )
    return wanted


def register(instance: dg.DagsterInstance, dataset: str, keys: Sequence[str]) -> None:
    """Register partitions with Dagster, in order. Idempotent; normally only appends.

    If the registered keys are not the first of `keys`, because the plan was recreated, all are
    registered again: Dagster cannot reorder them.
    """
    name = partitions_name(dataset)
    known = list(instance.get_dynamic_partitions(name))
    if known != list(keys[: len(known)]):
        for key in known:
            instance.delete_dynamic_partition(name, key)
        known = []
    for start in range(len(known), len(keys), _REGISTER_AT_ONCE):
        instance.add_dynamic_partitions(name, keys[start : start + _REGISTER_AT_ONCE])


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags of a run for a range of partitions."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def consecutive(keys: Sequence[str], chosen: set[str], most: int) -> list[tuple[str, str]]:
    """Return the first and last key of each range of adjacent chosen keys.

    Ranges are cut to at most `most` keys.

    Example:
        >>> consecutive("abcdef", {"a", "b", "c", "e"}, 2)
        [('a', 'b'), ('c', 'c'), ('e', 'e')]
    """
    ranges: list[tuple[str, str]] = []
    length = 0
    for previous, key in zip([None, *keys], keys, strict=False):
        if key not in chosen:
            continue
        if ranges and ranges[-1][1] == previous and length < most:
            ranges[-1] = (ranges[-1][0], key)
            length += 1
        else:
            ranges.append((key, key))
            length = 1
    return ranges
