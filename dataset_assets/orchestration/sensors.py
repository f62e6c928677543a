"""The sensor of a dataset: new or changed url lists are planned, and automation takes the new shards from there.

Its cursor is two digests, whatever the number of lists. A listing is acted on when it was the same at two ticks, so that a list that is just being
copied is not planned half.
"""

import hashlib
import json

import dagster as dg

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.orchestration.metadata import plain_text
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.spec import RAW_URLS, DatasetSpec
from dataset_assets.urls._sources import open_lists

_EVERY_S = 60


def build_list_sensor(spec: DatasetSpec) -> dg.SensorDefinition:
    """Build the sensor. It runs by itself when the dataset is automated and says how often to look."""
    is_on = spec.automation.enabled and spec.automation.watch_every_s is not None

    @dg.sensor(
        name=spec.name_of("new_lists"),
        target=[spec.key(RAW_URLS)],
        minimum_interval_seconds=spec.automation.watch_every_s or _EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Plans new url lists.",
    )
    def new_lists(context: dg.SensorEvaluationContext, storage: StorageResource) -> dg.SensorResult | dg.SkipReason:
        seen, planned = json.loads(context.cursor) if context.cursor else (None, None)
        try:
            found = listing_digest(spec, storage)
        except DatasetAssetsError as exc:
            return dg.SkipReason(plain_text(exc, 500))
        if found == planned:
            return dg.SkipReason("the lists are as they were when they were planned")
        if found != seen:
            return dg.SensorResult(
                skip_reason="the lists have changed; planned when they are the same at the next tick", cursor=json.dumps([found, planned])
            )
        return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=json.dumps([found, found]))

    return new_lists


def listing_digest(spec: DatasetSpec, storage: StorageResource) -> str:
    """Return a digest of the names, sizes and times of all lists of a dataset.

    Raises:
        SourceError, StorageError: there are none, or the store can not be listed.
    """
    digest = hashlib.sha256()
    for found in open_lists(storage.resolve(spec.source.urls.path), spec.source.urls.list_options()):
        digest.update(repr((found.name, found.bytes, found.modified)).encode())
    return digest.hexdigest()[:32]
