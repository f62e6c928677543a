"""The sensor of a repository: tells when its head is not what was published last, because somebody else has written to it.

It only tells, as an observation of `<dataset>/hub_repo`: their files are theirs. The cursor is the head that was told last.
"""

import dagster as dg

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.orchestration.common.metadata import plain_text
from dataset_assets.orchestration.common.spec import HUB_REPO, HUB_UPLOAD, DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.hub_upload.page import REVISION
from dataset_assets.orchestration.stages.hub_upload.section import Hub
from dataset_assets.orchestration.stages.hub_upload.target import open_target

NOTHING = "none"
_EVERY_S = 3600


def build_hub_sensor(spec: DatasetSpec, hub: Hub) -> dg.SensorDefinition:
    """Build the sensor. It runs by itself when the dataset is automated and says how often to look."""
    is_on = spec.automation.enabled and hub.watch_every_s is not None

    @dg.sensor(
        name=spec.name_of("hub_drift"),
        minimum_interval_seconds=hub.watch_every_s or _EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description=f"Tells when somebody else has changed {hub.repo}.",
    )
    def hub_drift(
        context: dg.SensorEvaluationContext, storage: StorageResource
    ) -> dg.SensorResult | dg.SkipReason:
        published = published_revision(context.instance, spec)
        if published is None:
            return dg.SkipReason(f"nothing has been published to {hub.repo} yet")
        try:
            head = open_target(hub, storage).head() or NOTHING
        except DatasetAssetsError as exc:
            return dg.SkipReason(plain_text(exc, 500))
        if head in (published, context.cursor):
            return dg.SensorResult(skip_reason=f"{hub.repo} is at {head}, as it was", cursor=head)
        observation = dg.AssetObservation(
            spec.key(HUB_REPO),
            description=f"{hub.repo} is at {head}, published was {published}: somebody else has changed it, or it is gone.",
            metadata={"head": head, REVISION: published, "repo": hub.repo},
            tags={"dagster/data_version": head[:16]},
        )
        return dg.SensorResult(asset_events=[observation], cursor=head)

    return hub_drift


def published_revision(instance: dg.DagsterInstance, spec: DatasetSpec) -> str | None:
    """Return the revision that the last materialization recorded."""
    event = instance.get_latest_materialization_event(spec.key(HUB_UPLOAD))
    found = (
        event.asset_materialization.metadata.get(REVISION)
        if event and event.asset_materialization
        else None
    )
    return str(found.value) if found is not None else None
