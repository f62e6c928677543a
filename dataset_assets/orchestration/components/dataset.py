"""`type: dataset_assets.Dataset`: one `defs.yaml` becomes all assets, checks, schedules and sensors of a dataset.

The keys are in `dataset_assets/orchestration/spec.py` and `sections/`. A key of a later stage is refused until that stage exists.
"""

from collections.abc import Iterator
from typing import Self

import dagster as dg
from pydantic import BaseModel

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.external import (
    hub_repo,
    published_archives,
    source_folder,
    url_lists,
)
from dataset_assets.orchestration.common.schedules import build_schedules
from dataset_assets.orchestration.common.spec import DatasetSpec, check_name
from dataset_assets.orchestration.components.scaffolder import DatasetScaffolder
from dataset_assets.orchestration.stages.hub_upload.asset import build_hub_upload
from dataset_assets.orchestration.stages.hub_upload.sensor import build_hub_sensor
from dataset_assets.orchestration.stages.loader_preview.asset import build_loader_preview
from dataset_assets.orchestration.stages.raw_urls.asset import build_raw_urls
from dataset_assets.orchestration.stages.raw_urls.sensor import build_source_sensor
from dataset_assets.orchestration.stages.shards.asset import build_shards
from dataset_assets.orchestration.stages.split_archives.asset import build_split_archives
from dataset_assets.orchestration.stages.staged.asset import build_staged
from dataset_assets.orchestration.stages.staged.sensor import build_archive_sensors


@dg.scaffold_with(DatasetScaffolder)
class Dataset(dg.Component):
    """A dataset made from url lists, a published dataset, recordings, files or shards: download or stage it, split it, publish it, keep it up to date."""

    def __init__(self, spec: DatasetSpec) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model that a `defs.yaml` is checked against."""
        return DatasetSpec

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Take the checked attributes; the folder gives the name.

        Raises:
            ConfigurationError: there are no attributes, or the folder's name can not be a dataset's.
        """
        file = context.path / "defs.yaml"
        if not isinstance(attributes, DatasetSpec):
            raise ConfigurationError(f"{file}: expected `attributes` with a `source`")
        try:
            return cls(
                attributes.model_copy(
                    update={"name": attributes.name or check_name(context.path.name)}
                )
            )
        except ConfigurationError as exc:
            raise ConfigurationError(f"{file}: {exc}") from exc

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build everything of this dataset."""
        del context  # everything is in the YAML
        published = self.spec.source.published
        sensors = (
            [build_source_sensor(self.spec)]
            if published is None
            else build_archive_sensors(self.spec, published)
        )
        if self.spec.hub is not None:
            sensors.append(build_hub_sensor(self.spec, self.spec.hub))
        return dg.Definitions(
            assets=list(_assets(self.spec)), schedules=build_schedules(self.spec), sensors=sensors
        )


def _assets(spec: DatasetSpec) -> Iterator[dg.AssetsDefinition | dg.AssetSpec]:
    if spec.source.urls is not None:
        yield from (url_lists(spec), build_raw_urls(spec), build_shards(spec))
    elif spec.source.published is not None:
        yield from (
            published_archives(spec, spec.source.published),
            build_staged(spec, spec.source.published),
        )
    elif spec.source.folder is not None:
        yield source_folder(spec, spec.source.folder)
    if spec.source.published is not None and spec.loader_preview is not None:
        yield build_loader_preview(spec, spec.source.published, spec.loader_preview)
    if spec.splits is not None:
        yield build_split_archives(spec, spec.splits)
    if spec.hub is not None:
        yield from (build_hub_upload(spec, spec.hub), hub_repo(spec, spec.hub))
