"""Sensors that watch the source of a dataset, and request a run when it has changed.

The cursor is two digests, whatever the number of files. A new digest triggers a run only if two
consecutive ticks agree, so that files that are still being copied are not read half-written.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence

import dagster as dg

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.orchestration.common.metadata import plain_text
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource

_EVERY_S = 60
MAX_SKIP_REASON = 500


def sensor_status(spec: DatasetSpec, every_s: int | None) -> dg.DefaultSensorStatus:
    """Return the default status of a sensor that the YAML switches on by its interval."""
    is_on = spec.automation.enabled and every_s is not None
    return dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED


def build_source_sensor(
    spec: DatasetSpec,
    stage: str,
    what: str,
    listing: Callable[[StorageResource], Iterable[object]],
    *,
    description: str,
    partitions: Sequence[str | None] = (None,),
) -> dg.SensorDefinition:
    """Build a sensor; it is on if the dataset is automated and sets `watch_every_s`.

    Args:
        spec: the dataset.
        stage: the stage that reads the source.
        what: plural noun for messages and the name of the sensor: `new_<what>`.
        listing: lists the files with names, sizes and times; may raise any error of the library.
        description: what the sensor does.
        partitions: those to request, each in a run of its own; None: an asset without partitions.
    """

    @dg.sensor(
        name=spec.name_of(f"new_{what}"),
        target=[spec.key(stage)],
        minimum_interval_seconds=spec.automation.watch_every_s or _EVERY_S,
        default_status=sensor_status(spec, spec.automation.watch_every_s),
        description=description,
    )
    def source_sensor(
        context: dg.SensorEvaluationContext, storage: StorageResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            digest = _digest(listing(storage))
        except DatasetAssetsError as exc:
            return dg.SkipReason(plain_text(exc, MAX_SKIP_REASON))
        last_seen, last_read = json.loads(context.cursor) if context.cursor else (None, None)
        if digest == last_read:
            return dg.SkipReason(f"the {what} have not changed since they were last read")
        if digest != last_seen:
            reason = f"the {what} have changed; they are read once two ticks agree"
            return dg.SensorResult(skip_reason=reason, cursor=json.dumps([digest, last_read]))
        requests = [dg.RunRequest(partition_key=partition) for partition in partitions]
        return dg.SensorResult(run_requests=requests, cursor=json.dumps([digest, digest]))

    return source_sensor


def _digest(listing: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for entry in listing:
        digest.update(repr(entry).encode())
    return digest.hexdigest()[:32]
