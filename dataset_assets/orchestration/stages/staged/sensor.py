"""The sensor `new_archives`: stages all parts again when a copy of an archive or an export changes.

Archives on the web do not change, so a dataset that is read from its site has no sensor.
"""

from collections.abc import Iterator

import dagster as dg

from dataset_assets.orchestration.common.sensors import Watch, build_source_sensor
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.staged.section import STAGED, PublishedSource
from dataset_assets.storage.store import open_store


def build_archive_sensors(
    spec: DatasetSpec, published: PublishedSource
) -> list[dg.SensorDefinition]:
    """Build the sensor if there are paths to watch."""
    paths = [path for path in published.given_paths if not path.startswith(("http://", "https://"))]
    if not paths:
        return []

    def listing(
        storage: StorageResource,
    ) -> Iterator[tuple[str, str, int, float]]:
        for path in paths:
            folder, _, name = storage.resolve(path).rstrip("/").rpartition("/")
            for info in open_store(folder or "/").list(name):
                if info.key == name or info.key.startswith(f"{name}/"):
                    yield path, info.key, info.bytes, info.modified

    watch = Watch(
        what="archives",
        stage=STAGED,
        description="Stages all parts again when an archive or export has changed.",
        listing=listing,
        requests=[dg.RunRequest(partition_key=part) for part in published.partitions_made],
    )
    return [build_source_sensor(spec, watch)]
