"""The sensor of a published dataset whose archives are copies or exports: when one is replaced, the parts are staged again.

What is published on the web does not change, so a dataset that comes from its site has no sensor.
"""

import hashlib

import dagster as dg

from dataset_assets.orchestration.common.spec import STAGED, DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.raw_urls.sensor import when_settled
from dataset_assets.orchestration.stages.staged.section import Published
from dataset_assets.storage.store import open_store

_EVERY_S = 60


def build_archive_sensors(spec: DatasetSpec, published: Published) -> list[dg.SensorDefinition]:
    """Build the sensor, where there is something to watch."""
    paths = [path for path in published.given_paths if not path.startswith(("http://", "https://"))]
    if not paths:
        return []
    is_on = spec.automation.enabled and spec.automation.watch_every_s is not None

    @dg.sensor(
        name=spec.name_of("new_archives"),
        target=[spec.key(STAGED)],
        minimum_interval_seconds=spec.automation.watch_every_s or _EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Stages all parts again when an archive or export has changed.",
    )
    def new_archives(
        context: dg.SensorEvaluationContext, storage: StorageResource
    ) -> dg.SensorResult | dg.SkipReason:
        requests = [dg.RunRequest(partition_key=key) for key in published.partitions_made]
        return when_settled(
            context.cursor, "archives", lambda: archives_digest(paths, storage), requests
        )

    return [new_archives]


def archives_digest(paths: list[str], storage: StorageResource) -> str:
    """Return a digest of the names, sizes and times of archives; of a path that is a folder, of all files in it.

    Raises:
        StorageError: a store can not be listed.
    """
    digest = hashlib.sha256()
    for path in paths:
        folder, _, name = storage.resolve(path).rstrip("/").rpartition("/")
        for info in open_store(folder or "/").list(name):
            if info.key == name or info.key.startswith(f"{name}/"):
                digest.update(repr((path, info.key, info.bytes, info.modified)).encode())
    return digest.hexdigest()[:32]
