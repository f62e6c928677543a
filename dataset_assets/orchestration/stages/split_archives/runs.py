"""One run of a `split_archives` asset: what is split, and how far it has come."""

import time
from collections.abc import Callable, Sequence
from logging import Logger

from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt
from dataset_assets.orchestration.common.spec import RAW_URLS, SHARDS, STAGED, DatasetSpec
from dataset_assets.orchestration.partitions import load_partitioning
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.pipelines.split.open_source import open_source
from dataset_assets.pipelines.split.split_archives import load_split, version_store
from dataset_assets.pipelines.verify.shards import read_manifest
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.splits.source import SplitSource
from dataset_assets.splits.sources import shards as shard_sets
from dataset_assets.storage.store import Store

_LOG_EVERY_S = 10.0
_SHOWN = 5


def open_split_source(spec: DatasetSpec, storage: StorageResource) -> SplitSource:
    """Open what a dataset is made of.

    Raises:
        ConfigurationError: partitions of its shards are missing.
        SourceError, StorageError, ShardError: the source can not be read.
    """
    if spec.source.published is not None:
        return shard_sets.SplitSource(
            staged_sets(spec, spec.source.published.partitions_made, storage)
        )
    if (folder := spec.source.folder) is None:
        return shard_sets.SplitSource(partition_sets(spec, storage))
    return open_source(spec.source.kind, storage.resolve(folder.path), **folder.given())


def partition_sets(spec: DatasetSpec, storage: StorageResource) -> list[Store]:
    """Return the shard sets of all partitions of a dataset, in their order.

    Raises:
        ConfigurationError: some are not made, or not whole.
    """
    shards = spec.key(SHARDS).to_user_string()
    try:
        planned = load_partitioning(storage.store(spec.name, RAW_URLS)).shards()
    except ObjectMissing as exc:
        raise ConfigurationError(
            f"there is no plan yet: materialize {spec.key(RAW_URLS).to_user_string()}, then {shards}"
        ) from exc
    sets = {key: storage.store(spec.name, SHARDS, key) for key in planned}
    if missing := [key for key, store in sets.items() if _committed(store) != set(planned[key])]:
        named = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        raise ConfigurationError(
            f"{len(missing):,} of {len(planned):,} partitions of {shards} are missing ({named}): materialize them first"
        )
    return list(sets.values())


def staged_sets(
    spec: DatasetSpec, partitions: Sequence[str], storage: StorageResource
) -> list[Store]:
    """Return the shard sets of all parts of a published dataset.

    Raises:
        ConfigurationError: some are not staged.
    """
    sets = {key: storage.store(spec.name, STAGED, key) for key in partitions}
    if missing := [key for key, store in sets.items() if store.size(MANIFEST) is None]:
        raise ConfigurationError(
            f"{', '.join(missing)} of {spec.key(STAGED).to_user_string()} not there: materialize it first"
        )
    return list(sets.values())


def forget_version(store: Store) -> None:
    """Delete the files of the version that counts, if there is one: the next split makes them."""
    try:
        version_store(store, load_split(store)).delete_tree("")
    except (ObjectMissing, ShardCorrupt):
        return  # nothing that could be kept by mistake


def progress_to(
    log: Logger, *, clock: Callable[[], float] = time.monotonic
) -> Callable[[int, int], None]:
    """Return what writes a line every now and then: each is a row in Dagster's event log."""
    next_s = clock() + _LOG_EVERY_S

    def report(done: int, total: int) -> None:
        nonlocal next_s
        if clock() >= next_s:
            next_s = clock() + _LOG_EVERY_S
            log.info("%s of %s samples", f"{done:,}", f"{total:,}")

    return report


def _committed(store: Store) -> set[int]:
    """Return the numbers of the shards that the manifest of a set names; none when there is no set."""
    try:
        return {shard.shard_id for shard in read_manifest(store).shards}
    except ObjectMissing:
        return set()
