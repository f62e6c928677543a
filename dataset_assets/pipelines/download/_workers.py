"""The work that is sent to workers, and the workers themselves. Imports nothing heavy: the process that sends it does not need what they need."""

from collections.abc import Iterator
from dataclasses import dataclass

from dataset_assets import registry
from dataset_assets.distribute import Distributor
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.causes import Cause
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import ShardProgress, ShardResult, ShardTask

#: Imported once, in the process that workers are forked from. The second loads the kernel that scales images.
_WORK = "dataset_assets.pipelines.download._worker_preload"
_KERNEL = "dataset_assets.pipelines.download._kernel_preload"


@dataclass(frozen=True, slots=True)
class ShardWork:
    """Makes shards of a plan. Picklable; see `distribute._base.Work`."""

    plan_url: str
    plan: Plan
    fingerprints: dict[int, str]  # shard id -> fingerprint of its rows and the options
    options: DownloadOptions
    retry_failed: frozenset[Cause] = frozenset()

    def __call__(self, tasks: Iterator[ShardTask]) -> Iterator[ShardProgress | ShardResult]:
        """Make the shards of `tasks`, in any order; a shard that fails becomes a result with an error."""
        from dataset_assets.pipelines.download._shard_work import work_on

        return work_on(self, tasks)


def prepare_workers(options: DownloadOptions, workers: int = 1) -> Distributor:
    """Return the distributor of the options. Called early, what workers need is loaded while the caller does something else."""
    image = options.image
    preload = (
        _WORK,
        *(["exifread"] if image and image.extract_exif else []),
        *([_KERNEL] if image and image.needs_area_kernel else []),
    )
    distributor: Distributor = registry.load("distributor", options.distributor)(
        workers, preload=preload
    )
    return distributor
