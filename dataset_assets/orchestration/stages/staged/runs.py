"""The shard sets that a `staged` asset has made."""

from collections.abc import Sequence

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.staged.section import STAGED, PublishedSource
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import Store


def partition_sets(spec: DatasetSpec, storage: StorageResource) -> list[Store]:
    """Return the shard sets of all parts of a published dataset.

    Raises:
        ConfigurationError: some are not staged.
    """
    return staged_sets(spec, storage, spec.section(PublishedSource).partitions_made)


def staged_sets(
    spec: DatasetSpec, storage: StorageResource, partitions: Sequence[str]
) -> list[Store]:
    """Return the shard sets of some parts.

    Raises:
        ConfigurationError: some are not staged.
    """
    sets = {part: storage.store(spec.name, STAGED, part) for part in partitions}
    if missing := [part for part, store in sets.items() if store.size(MANIFEST) is None]:
        asset = spec.key(STAGED).to_user_string()
        raise ConfigurationError(
            f"partitions {', '.join(missing)} of {asset} are missing: materialize them first"
        )
    return list(sets.values())
