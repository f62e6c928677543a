"""The sensor `new_lists`: plans again when URL lists are added or change."""

from collections.abc import Iterator

import dagster as dg

from dataset_assets.orchestration.common.sensors import Watch, build_source_sensor
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.raw_urls.section import RAW_URLS, Urls
from dataset_assets.urls.sources import open_lists


def build_list_sensor(spec: DatasetSpec, urls: Urls) -> dg.SensorDefinition:
    """Build the sensor."""

    def listing(
        storage: StorageResource,
    ) -> Iterator[tuple[str, int | None, float | None]]:
        for found in open_lists(storage.resolve(urls.path), urls.list_options()):
            yield found.name, found.bytes, found.modified

    watch = Watch(
        what="lists",
        stage=RAW_URLS,
        description="Plans new URL lists.",
        listing=listing,
        requests=[dg.RunRequest()],
    )
    return build_source_sensor(spec, watch)
