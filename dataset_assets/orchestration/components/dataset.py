"""`type: dataset_assets.Dataset`: one `defs.yaml` becomes all assets, checks, schedules and sensors of a dataset.

The keys are in `dataset_assets/orchestration/spec.py` and `sections/`. A key of a later stage is refused until that stage exists.
"""

from typing import Self

import dagster as dg
from pydantic import BaseModel

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.assets.raw_urls import build_raw_urls, url_lists
from dataset_assets.orchestration.assets.shards import build_shards
from dataset_assets.orchestration.components.scaffolder import DatasetScaffolder
from dataset_assets.orchestration.schedules import build_schedules
from dataset_assets.orchestration.sensors import build_list_sensor
from dataset_assets.orchestration.spec import DatasetSpec, check_name


@dg.scaffold_with(DatasetScaffolder)
class Dataset(dg.Component):
    """A dataset made from url lists: plan them, download them, keep them up to date."""

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
            return cls(attributes.model_copy(update={"name": attributes.name or check_name(context.path.name)}))
        except ConfigurationError as exc:
            raise ConfigurationError(f"{file}: {exc}") from exc

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build everything of this dataset."""
        del context  # everything is in the YAML
        return dg.Definitions(
            assets=[url_lists(self.spec), build_raw_urls(self.spec), build_shards(self.spec)],
            schedules=build_schedules(self.spec),
            sensors=[build_list_sensor(self.spec)],
        )
