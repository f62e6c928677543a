"""The module that Dagster loads, named in `workspace.yaml`.

The definitions are built in `dataset_assets.orchestration.build`.
"""

import dagster as dg

from dataset_assets.orchestration.build import build_defs


@dg.definitions
def defs() -> dg.Definitions:
    """Load every dataset of the catalogs."""
    return build_defs()
