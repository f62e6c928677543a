"""Sensors that watch the source of a dataset, and request a run when it has changed.

The cursor is two digests, whatever the number of files. A new digest triggers a run only if two
consecutive ticks agree, so that files that are still being copied are not read half-written.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.orchestration.common.metadata import plain_text
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource

_EVERY_S = 60
MAX_SKIP_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a source sensor watches, and what it requests."""

    what: str
    """Plural noun for messages and the name of the sensor: `new_<what>`."""
    stage: str
    """Stage that reads the source."""
    description: str
    listing: Callable[[StorageResource], Iterable[object]]
    """List the files with names, sizes and times; it may raise any error of the library."""
    requests: Sequence[dg.RunRequest]


def sensor_status(spec: DatasetSpec, every_s: int | None) -> dg.DefaultSensorStatus:
    """Return the default status of a sensor that the YAML switches on by its interval."""
    is_on = spec.automation.enabled and every_s is not None
    return dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED


def build_source_sensor(spec: DatasetSpec, watch: Watch) -> dg.SensorDefinition:
    """Build a sensor; it is on if the dataset is automated and sets `watch_every_s`."""

    @dg.sensor(
        name=spec.name_of(f"new_{watch.what}"),
        target=[spec.key(watch.stage)],
        minimum_interval_seconds=spec.automation.watch_every_s or _EVERY_S,
        default_status=sensor_status(spec, spec.automation.watch_every_s),
        description=watch.description,
    )
    def source_sensor(
        context: dg.SensorEvaluationContext, storage: StorageResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            digest = _digest(watch.listing(storage))
        except DatasetAssetsError as exc:
            return dg.SkipReason(plain_text(exc, MAX_SKIP_REASON))
        return _decide(context.cursor, digest, watch)

    return source_sensor


def _decide(cursor: str | None, digest: str, watch: Watch) -> dg.SensorResult | dg.SkipReason:
    """Request runs if a digest differs from the last one read, and equals that of the last tick."""
    last_seen, last_read = json.loads(cursor) if cursor else (None, None)
    if digest == last_read:
        return dg.SkipReason(f"the {watch.what} have not changed since they were last read")
    if digest != last_seen:
        reason = f"the {watch.what} have changed; they are read once two ticks agree"
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps([digest, last_read]))
    return dg.SensorResult(run_requests=watch.requests, cursor=json.dumps([digest, digest]))


def _digest(listing: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for entry in listing:
        digest.update(repr(entry).encode())
    return digest.hexdigest()[:32]
