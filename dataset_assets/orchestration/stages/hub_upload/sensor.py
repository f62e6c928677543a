"""The sensor `hub_drift`: reports when the head of a repository is not what was published last.

It records an observation of `<dataset>/hub_repo` and never changes the repository. The cursor is
the head that was reported last.
"""

import dagster as dg

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.orchestration.common.metadata import plain_text
from dataset_assets.orchestration.common.sensors import MAX_SKIP_REASON, sensor_status
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.hub_upload.section import (
    HUB_REPO,
    HUB_UPLOAD,
    REVISION,
    Hub,
    open_repository,
)

NOTHING = "none"
_EVERY_S = 3600


def build_hub_sensor(spec: DatasetSpec, hub: Hub) -> dg.SensorDefinition:
    """Build the sensor; it is on if the dataset is automated and `hub` sets `watch_every_s`."""

    @dg.sensor(
        name=spec.name_of("hub_drift"),
        minimum_interval_seconds=hub.watch_every_s or _EVERY_S,
        default_status=sensor_status(spec, hub.watch_every_s),
        description=f"Reports when somebody else has changed {hub.repo}.",
    )
    def hub_drift(
        context: dg.SensorEvaluationContext, storage: StorageResource
    ) -> dg.SensorResult | dg.SkipReason:
        published = published_revision(context.instance, spec)
        if published is None:
            return dg.SkipReason(f"nothing has been published to {hub.repo} yet")
        try:
            head = open_repository(hub, storage).head() or NOTHING
        except DatasetAssetsError as exc:
            return dg.SkipReason(plain_text(exc, MAX_SKIP_REASON))
        if head in (published, context.cursor):
            return dg.SensorResult(skip_reason=f"{hub.repo} is still at {head}", cursor=head)
        return dg.SensorResult(asset_events=[_drift(spec, hub, head, published)], cursor=head)

    return hub_drift


def _drift(spec: DatasetSpec, hub: Hub, head: str, published: str) -> dg.AssetObservation:
    return dg.AssetObservation(
        spec.key(HUB_REPO),
        description=(
            f"{hub.repo} is at {head}, expected the published {published}: somebody else has "
            "changed it, or it was deleted."
        ),
        metadata={"head": head, REVISION: published, "repo": hub.repo},
        tags={"dagster/data_version": head[:16]},
    )


def published_revision(instance: dg.DagsterInstance, spec: DatasetSpec) -> str | None:
    """Return the revision that the last materialization recorded."""
    event = instance.get_latest_materialization_event(spec.key(HUB_UPLOAD))
    if event is None or event.asset_materialization is None:
        return None
    found = event.asset_materialization.metadata.get(REVISION)
    return str(found.value) if found is not None else None
