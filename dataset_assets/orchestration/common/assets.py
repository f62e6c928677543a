"""What all assets of a dataset have in common: key, group, owners, tags and retries."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from dataset_assets.orchestration.common.spec import DatasetSpec

#: Second part of the key of a source that is not a URL list.
SOURCE = "source"


def stage_asset(
    spec: DatasetSpec,
    stage: str,
    description: str,
    *,
    part: str | None = None,
    tags: Mapping[str, str] | None = None,
    **own: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return the decorator for an asset of a dataset: `dg.asset`, with what its assets share.

    Args:
        spec: the dataset.
        stage: second part of the asset's key.
        description: follows that of the dataset.
        part: third part of the key, where a stage has several assets.
        tags: beside those of the dataset.
        own: further arguments of `dg.asset`.
    """
    automation = spec.automation
    # Committed data is kept when a step is retried.
    retries = dg.RetryPolicy(
        max_retries=automation.step_retries,
        delay=automation.step_retry_delay_s,
        backoff=dg.Backoff.EXPONENTIAL,
        jitter=dg.Jitter.PLUS_MINUS,
    )
    text = f"{spec.description}\n\n{description}" if spec.description else description
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        key=spec.key(stage, *([part] if part is not None else [])),
        description=text,
        group_name=spec.name,
        owners=spec.owners,
        tags={**spec.all_tags, **(tags or {})},
        retry_policy=retries,
        **own,
    )
    return decorator


def external_asset(
    spec: DatasetSpec, name: str, description: str, metadata: Mapping[str, Any]
) -> dg.AssetSpec:
    """Describe an asset that others own, at either end of the graph."""
    return dg.AssetSpec(
        key=spec.key(name),
        group_name=spec.name,
        description=description,
        metadata=metadata,
        owners=spec.owners,
        tags=spec.all_tags,
    )
