"""External assets: what others own, at both ends of the graph."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dataset_assets.orchestration.common.spec import DatasetSpec

#: Second part of the key of a source that is not a URL list.
SOURCE = "source"


def external_asset(
    spec: DatasetSpec, name: str, description: str, metadata: Mapping[str, Any]
) -> dg.AssetSpec:
    """Describe an external asset with the owners and tags of its dataset."""
    return dg.AssetSpec(
        key=spec.key(name),
        group_name=spec.name,
        description=description,
        metadata=metadata,
        owners=spec.owners,
        tags=spec.all_tags,
    )
