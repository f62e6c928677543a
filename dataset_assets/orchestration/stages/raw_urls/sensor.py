"""The sensor of a dataset: a new or changed source is read again, and automation takes what is made of it from there.

Its cursor is two digests, whatever the number of files. A listing is acted on when it was the same at two ticks, so that what is just being copied is
not read half.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.orchestration.common.metadata import plain_text
from dataset_assets.orchestration.common.source import Folder
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import open_store
from dataset_assets.urls.sources import open_lists

_EVERY_S = 60


def build_source_sensor(spec: DatasetSpec) -> dg.SensorDefinition:
    """Build the sensor. It runs by itself when the dataset is automated and says how often to look."""
    is_on = spec.automation.enabled and spec.automation.watch_every_s is not None
    folder = spec.source.folder
    what = "lists" if folder is None else "data"

    @dg.sensor(
        name=spec.name_of(f"new_{what}"),
        target=[spec.key(spec.first_stage)],
        minimum_interval_seconds=spec.automation.watch_every_s or _EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Plans new url lists."
        if folder is None
        else "Splits again when the source has changed.",
    )
    def new_source(
        context: dg.SensorEvaluationContext, storage: StorageResource
    ) -> dg.SensorResult | dg.SkipReason:
        return when_settled(
            context.cursor, what, lambda: listing_digest(spec, storage), [dg.RunRequest()]
        )

    return new_source


def when_settled(
    cursor: str | None, what: str, digest: Callable[[], str], requests: Sequence[dg.RunRequest]
) -> dg.SensorResult | dg.SkipReason:
    """Ask for runs when a digest is another one than that which was acted on last, and the same as at the tick before."""
    seen, taken = json.loads(cursor) if cursor else (None, None)
    try:
        found = digest()
    except DatasetAssetsError as exc:
        return dg.SkipReason(plain_text(exc, 500))
    if found == taken:
        return dg.SkipReason(f"the {what} are as they were when they were read last")
    if found != seen:
        reason = f"the {what} have changed; read when they are the same at the next tick"
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps([found, taken]))
    return dg.SensorResult(run_requests=requests, cursor=json.dumps([found, found]))


def listing_digest(spec: DatasetSpec, storage: StorageResource) -> str:
    """Return a digest of the names, sizes and times of all files of a source.

    Raises:
        SourceError, StorageError: there are none, or the store can not be listed.
    """
    folder = spec.source.folder
    digest = hashlib.sha256()
    for entry in _lists(spec, storage) if folder is None else _files(folder, storage):
        digest.update(repr(entry).encode())
    return digest.hexdigest()[:32]


def _lists(
    spec: DatasetSpec, storage: StorageResource
) -> Iterator[tuple[str, int | None, float | None]]:
    for found in open_lists(storage.resolve(spec.urls.path), spec.urls.list_options()):
        yield found.name, found.bytes, found.modified


def _files(folder: Folder, storage: StorageResource) -> Iterator[tuple[str, int, float]]:
    """List a folder; of shards the manifests, which are written last and change with all others."""
    for info in open_store(storage.resolve(folder.path)).list(""):
        if not folder.has_manifests or info.key.rpartition("/")[2] == MANIFEST:
            yield info.key, info.bytes, info.modified
