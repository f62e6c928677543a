"""The sensor `new_data`: splits again when the source folder changes."""

from collections.abc import Iterator

import dagster as dg

from dataset_assets.orchestration.common.sensors import Watch, build_source_sensor
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.split_archives.section import SPLIT_ARCHIVES
from dataset_assets.orchestration.stages.split_archives.source import Folder
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import open_store

#: Kinds of source whose changes show in their manifests, which are written last.
_WITH_MANIFESTS = frozenset({"shards"})


def build_folder_sensor(spec: DatasetSpec, folder: Folder) -> dg.SensorDefinition:
    """Build the sensor."""

    def listing(storage: StorageResource) -> Iterator[tuple[str, int, float]]:
        for info in open_store(storage.resolve(folder.path)).list(""):
            if folder.kind not in _WITH_MANIFESTS or info.key.rpartition("/")[2] == MANIFEST:
                yield info.key, info.bytes, info.modified

    watch = Watch(
        what="data",
        stage=SPLIT_ARCHIVES,
        description="Splits again when the source has changed.",
        listing=listing,
        requests=[dg.RunRequest()],
    )
    return build_source_sensor(spec, watch)
