"""Which shards belong to which partition, and the registration of partitions with Dagster.

A partition is a run of consecutive shards of one list; its key is the zero-padded number of the first of them, and its shard set lives in
`shards/<key>/`. How many shards a partition holds is decided when its list is planned and written beside the plan, so nothing ever moves.
Dagster recomputes the keys of a range from the order of registration: keys are registered in ascending order, and only ever appended.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from dataset_assets.errors import ConfigurationError, ObjectMissing, PlanMismatch
from dataset_assets.records.plans import Plan
from dataset_assets.shards.naming import shard_name
from dataset_assets.storage.store import Store

#: Dagster's pages and its backfill daemon stay quick up to here.
MAX_PARTITIONS = 10_000
FILE = "partitions.json"
_REGISTER_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """The partitions of one list."""

    first_shard: int
    shard_count: int
    shards_per_partition: int

    def firsts(self) -> range:
        """Return the first shard of every partition."""
        return range(
            self.first_shard, self.first_shard + self.shard_count, self.shards_per_partition
        )


@dataclass(frozen=True, slots=True)
class Partitioning:
    """All partitions of a dataset, in order."""

    groups: tuple[Group, ...] = ()

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
    """Return the name under which Dagster knows the partitions of a dataset."""
    return f"{dataset}__shards"


def partitions_of(dataset: str) -> dg.DynamicPartitionsDefinition:
    """Return the definition of a dataset's shard partitions."""
    return dg.DynamicPartitionsDefinition(name=partitions_name(dataset))


def load_partitioning(plan_store: Store) -> Partitioning:
    """Read which shards belong to which partition.

    Raises:
        ObjectMissing: no list was planned yet.
    """
    return Partitioning(
        tuple(Group(*entry) for entry in json.loads(plan_store.read(FILE))["groups"])
    )


def extend_partitioning(
    plan_store: Store, plan: Plan, shards_per_partition: int | None
) -> Partitioning:
    """Give every list of the plan that has no partitions yet its partitions. Idempotent.

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
            f"{plan_store.locate(FILE)} belongs to another plan than plan.json beside it; delete both, and the shards, to start over"
        )
    partitioning = Partitioning(known)
    for first_shard, shard_count in planned[len(known) :]:
        size = _group_size(shard_count, MAX_PARTITIONS - partitioning.count, shards_per_partition)
        partitioning = Partitioning((*partitioning.groups, Group(first_shard, shard_count, size)))
    if len(partitioning.groups) > len(known):
        plan_store.write(
            FILE, json.dumps({"groups": [astuple(group) for group in partitioning.groups]}).encode()
        )
    return partitioning


def _group_size(shard_count: int, free: int, wanted: int | None) -> int:
    """Choose how many shards a partition of a list holds: as asked, else so that the list takes at most half of the free partitions."""
    if free < 1:
        raise ConfigurationError(
            f"this dataset has {MAX_PARTITIONS:,} partitions, no more can be added: give new lists a dataset of their own"
        )
    if wanted is None:
        return max(1, -(-shard_count // max(1, free // 2)))
    if -(-shard_count // wanted) > free:
        needed = -(-shard_count // free)
        raise ConfigurationError(
            f"shards_per_partition: {shard_count:,} more shards at {wanted} per partition need more than the {free:,} partitions that are left; "
            f"expected at least {needed}, or more samples_per_shard"
        )
    return wanted


def register(instance: dg.DagsterInstance, dataset: str, keys: Sequence[str]) -> None:
    """Make Dagster's partitions those of the plan, in its order. Idempotent; normally only appends.

    When the known keys do not begin the plan's (the plan was made anew), all are registered again: their order could not be mended otherwise.
    """
    name = partitions_name(dataset)
    known = list(instance.get_dynamic_partitions(name))
    if known != list(keys[: len(known)]):
        for key in known:
            instance.delete_dynamic_partition(name, key)
        known = []
    for chunk in _chunks(keys[len(known) :]):
        instance.add_dynamic_partitions(name, chunk)


def _chunks(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (
        keys[start : start + _REGISTER_AT_ONCE] for start in range(0, len(keys), _REGISTER_AT_ONCE)
    )


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags that make a run one of a range of partitions."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def consecutive(keys: Sequence[str], chosen: set[str], most: int) -> list[tuple[str, str]]:
    """Return the first and last key of every run of chosen keys that stand side by side, cut to at most `most` keys.

    Example:
        >>> consecutive("abcdef", {"a", "b", "c", "e"}, 2)
        [('a', 'b'), ('c', 'c'), ('e', 'e')]
    """
    ranges: list[tuple[str, str]] = []
    length = 0
    for before, key in zip([None, *keys], keys, strict=False):
        if key not in chosen:
            continue
        if ranges and ranges[-1][1] == before and length < most:
            ranges[-1], length = (ranges[-1][0], key), length + 1
        else:
            ranges.append((key, key))
            length = 1
    return ranges
