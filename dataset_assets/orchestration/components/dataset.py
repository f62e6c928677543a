"""`type: dataset_assets.Dataset`: one `defs.yaml` becomes all definitions of a dataset.

Each stage builds its own assets, checks, sensors and schedules; the component only calls them.
"""

from typing import Self

import dagster as dg
from pydantic import BaseModel

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.schedules import refresh_schedules
from dataset_assets.orchestration.common.spec import DatasetSpec, check_name
from dataset_assets.orchestration.common.stage import stages_of
from dataset_assets.orchestration.components.model import dataset_model, load_stages
from dataset_assets.orchestration.components.scaffolder import DatasetScaffolder


@dg.scaffold_with(DatasetScaffolder)
class Dataset(dg.Component):
    """A dataset from a source (URL lists, recordings, files, shards or a published dataset).

    It is downloaded or staged, split, published and kept up to date.
    """

    def __init__(self, spec: DatasetSpec) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model that a `defs.yaml` is validated against."""
        return dataset_model(load_stages())

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Take the validated attributes; the name of the folder is the default for `name`.

        Raises:
            ConfigurationError: there are no attributes, or the folder's name is not valid.
        """
        file = context.path / "defs.yaml"
        if not isinstance(attributes, DatasetSpec):
            raise ConfigurationError(f"{file}: expected `attributes` with a `source`")
        try:
            name = attributes.name or check_name(context.path.name)
        except ConfigurationError as exc:
            raise ConfigurationError(f"{file}: {exc}") from exc
        return cls(attributes.model_copy(update={"name": name}))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build the stages that the dataset has."""
        del context  # everything is in the YAML
        built = stages_of(self.spec, load_stages())
        first = next(iter(built))
        return dg.Definitions.merge(
            *(stage.build(self.spec, upstream) for stage, upstream in built.values()),
            dg.Definitions(schedules=refresh_schedules(self.spec, first)),
        )
