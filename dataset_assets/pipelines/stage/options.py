"""What a staged partition looks like: the options of `stage`."""

import os
from dataclasses import dataclass

from dataset_assets import checks

LAYOUTS = ("shards", "objects")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """Options for `stage`, validated on construction.

    Raises:
        ConfigurationError: a value is not valid.
    """

    layout: str = "shards"
    """`shards`: tars with sidecars. `objects`: one object per image and label map, under the keys
    that torchdatasetutil uses."""
    max_shard_bytes: int = 256 << 20
    """A shard is closed before its payloads and parts exceed this, bytes."""
    max_shard_samples: int = 10_000
    """Maximum number of rows in a shard."""
    check_images: bool = True
    """Decode every image; one that cannot be decoded becomes a row without a sample."""
    workers: int | None = None
    """Threads that draw label maps and decode images. Default: one for each processor."""
    objects_url: str | None = None
    """Layout `objects`: the folder that object paths are relative to. Default: two above the
    folder of the partition."""

    def __post_init__(self) -> None:
        checks.one_of("layout", self.layout, LAYOUTS)
        checks.integer("max_shard_bytes", self.max_shard_bytes, 1)
        checks.integer("max_shard_samples", self.max_shard_samples, 1)
        if self.workers is not None:
            checks.integer("workers", self.workers, 1)

    @property
    def thread_count(self) -> int:
        """Number of threads that draw and decode."""
        if self.workers is not None:
            return self.workers
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
