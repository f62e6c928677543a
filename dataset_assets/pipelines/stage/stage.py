"""`stage`: turns a partition of a published dataset into a shard set, without unpacking archives.

This is the public function; `_run` does the work. The layouts are in `_shards` (tars) and
`objects`.
"""

from collections.abc import Callable
from contextlib import closing
from math import inf

from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.stage._run import StageReport, StageRun
from dataset_assets.pipelines.stage.access import StoreAccess
from dataset_assets.pipelines.stage.options import StageOptions
from dataset_assets.shards.lease import Lease
from dataset_assets.staging.source import StagingSource
from dataset_assets.storage.store import Store

__all__ = ["StageOptions", "StageReport", "StoreAccess", "stage"]


def stage(
    source: StagingSource,
    store: Store,
    options: StageOptions | None = None,
    *,
    partition: str,
    progress: Callable[[int, int], None] | None = None,
    access: StoreAccess | None = None,
) -> StageReport:
    """Stage one partition of a published dataset into a folder. Idempotent.

    If the run is interrupted, the next one resumes after the committed shards: their images are
    not read again, and the result has the bytes of an uninterrupted run.

    Args:
        source: the dataset, from `open_staging`.
        store: the folder of the partition, `<dataset>/staged/<partition>`.
        options: what the shards look like.
        partition: one of `source.partitions`.
        progress: called after each row with the rows written, those of earlier runs included, and
            the number of images (0 when it is not known).
        access: what the source may reach, with credentials. It is closed at the end. Default:
            access without credentials.

    Returns:
        The manifest of the whole partition, its description, and how many shards this call wrote.

    Raises:
        ConfigurationError: there is no such partition, or a credential is missing.
        SourceError: an archive cannot be read, or is not the published one. Committed shards are
            kept; run again to resume.
        PlanMismatch: the folder has shards of other archives or options.
        SetInUse: another run is at work in the folder; nothing was changed.
        DiskFull, StorageError: the folder cannot be written. Committed shards are kept.

    Example:
        >>> from dataset_assets import stage
        >>> from dataset_assets.pipelines.stage.open_staging import open_staging
        >>> from dataset_assets.storage.store import open_store
        >>> source = open_staging("coco", {"folder": "archives", "partitions": ["val2017"]})
        >>> report = stage(source, open_store("coco/staged/val2017"), partition="val2017")
        >>> report.dataset.license.redistributable
        True
    """
    options = options or StageOptions()
    if partition not in source.partitions:
        raise ConfigurationError(
            f"partition of {source.kind}: expected one of {', '.join(source.partitions)}, "
            f"got {partition!r}"
        )
    store.check_writable()
    with (
        closing(access or StoreAccess(store)) as opened_access,
        Lease(store) as lease,
    ):
        store.sweep(older_than_s=-inf)  # no other run is at work
        with closing(source.open(partition, opened_access)) as opened:
            run = StageRun(source, opened, store, options, opened_access, lease)
            report = run.run(progress)
        lease.is_complete = True
        return report
