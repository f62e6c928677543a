"""What Dagster opens: `workspace.yaml` names this module. Everything is put together in `dataset_assets.orchestration.build`."""

import dagster as dg

from dataset_assets.orchestration.build import build_defs


@dg.definitions
def defs() -> dg.Definitions:
    """Load every dataset of the catalogs."""
    return build_defs()
