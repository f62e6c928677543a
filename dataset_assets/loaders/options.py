"""Options of a loader: which samples it takes, in which order and batches, and how it reads."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.samples.rows import Rows

BAD_SAMPLES = ("raise", "skip", "replace")
PADS = ("repeat", "drop")
STOPS = ("first_exhausted", "all_exhausted")
START_METHODS = ("fork", "forkserver", "spawn")
_LOWEST = {
    "global_batch_size": 1,
    "seed": 0,
    "window_shards": 1,
    "repeats": 1,
    "world_size": 1,
    "rank": 0,
    "num_workers": 0,
    "cache_bytes": 0,
    "prefetch_shards": 0,
    "prefetch_batches": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderSource:
    """A set of samples, and how often each of them is taken.

    Raises:
        ConfigurationError: an array has another length than the set, or a weight is invalid.
    """

    rows: Rows
    """The samples, such as `ShardRows`."""
    weight: float | None = None
    """Share of the epoch relative to the other sources. None for all: every sample once."""
    keep: NDArray[np.bool_] | None = None
    """(samples,) whether a sample is taken at all. None: all are."""
    sample_weights: NDArray[Any] | None = None
    """(samples,) samples are drawn with replacement in these proportions. None: each once."""
    groups: NDArray[np.integer[Any]] | None = None
    """(samples,) group of each sample, such as its resolution bucket: a batch has samples of one
    group, of any source. None for all: batches are mixed."""

    def __post_init__(self) -> None:
        for name in ("keep", "sample_weights", "groups"):
            values = getattr(self, name)
            if values is not None and np.shape(values) != (len(self.rows),):
                raise ConfigurationError(
                    f"{name}: expected {len(self.rows)} values, one per sample of {self.rows.url}, "
                    f"got an array of shape {np.shape(values)}"
                )
        if self.groups is not None and not np.issubdtype(np.asarray(self.groups).dtype, np.integer):
            raise ConfigurationError(
                f"groups: expected integers, got {np.asarray(self.groups).dtype}"
            )
        if self.weight is not None and not self.weight > 0:
            raise ConfigurationError(
                f"weight: expected a number above 0, got {self.weight!r}; to use no samples of a "
                "source, leave it out"
            )
        if self.sample_weights is not None and not _are_weights(self.sample_weights):
            raise ConfigurationError("sample_weights: expected numbers from 0, not all 0")

    @property
    def samples(self) -> int:
        """Samples that are kept."""
        return len(self.rows) if self.keep is None else int(np.count_nonzero(self.keep))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderOptions:
    """Options of `ShardLoader`, validated on construction.

    The global batches depend on the sources and their weights, and on global_batch_size, seed,
    shuffle, window_shards, samples_per_epoch, drop_last, stop and repeats only. Batch n of a rank
    is a slice of global batch n. All ranks have the same number of batches, and batches of equal
    size.

    Raises:
        ConfigurationError: a value is invalid, or two values contradict each other.

    Example:
        >>> from dataset_assets import LoaderOptions
        >>> LoaderOptions(global_batch_size=64, rank=1, world_size=4).batch_size
        16
    """

    global_batch_size: int = 32
    """Samples of a batch, of all ranks together."""
    seed: int = 0
    """Seed of the order and of all randomness of transforms, combined with the epoch."""
    shuffle: bool = True
    """Whether every epoch has another order. False: the order of the shards."""
    window_shards: int = 8
    """Shards whose samples are mixed at a time. As many as there are: a full shuffle."""
    drop_last: bool = False
    """Leave out the samples after the last complete global batch; with groups, of each group."""
    pad: str = "repeat"
    """Partial batch that the ranks do not divide: "repeat" some of its samples, or "drop" some."""
    stop: str = "first_exhausted"
    """End of an epoch of weighted sources. "all_exhausted" repeats samples of the others."""
    samples_per_epoch: int | None = None
    """Samples of an epoch of weighted sources. None: as `stop` says."""
    repeats: int = 1
    """Repeated augmentation: each sample this often in a row, so fewer samples in an epoch."""
    rank: int = 0
    """Rank of this process, from 0."""
    world_size: int = 1
    """Number of ranks."""
    parts: tuple[str, ...] | None = None
    """Extensions of the members to read beside the payload, such as "seg.png". None: all."""
    columns: tuple[str, ...] = ()
    """Columns of the index that transforms find in `LoadedSample.columns`."""
    bad_samples: str = "raise"
    """What to do about bad samples: "raise", "skip" them (smaller batches), or "replace" each by
    the next good sample of the same shard."""
    max_bad_fraction: float = 0.01
    """Share of an epoch's samples on this rank that may be bad before the loader fails."""
    num_workers: int = 0
    """Worker processes. 0: samples are made in this process."""
    start_method: str | None = None
    """Start method of the workers: fork, forkserver or spawn. None: the default of Python."""
    persistent_workers: bool = True
    """Whether workers live as long as the loader. False: as long as an epoch."""
    prefetch_batches: int = 2
    """Batches that each worker makes ahead."""
    pin_memory: bool = False
    """Whether batches are in page-locked memory, for faster copies to a GPU."""
    timeout_s: float = 0
    """Seconds to wait for a batch of a worker. 0: no limit, since every read has a timeout."""
    cache_dir: str | None = None
    """Folder for shards of remote stores. None: `~/.cache/dataset_assets/shards`."""
    cache_bytes: int = 64 << 30
    """Limit of that folder, for all its users. 0: no cache, each sample is one request."""
    prefetch_shards: int = 8
    """Shards that are downloaded before they are needed."""
    verify: bool = True
    """Whether the sha256 of each download is compared with the manifest."""

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            checks.integer(name, getattr(self, name), lowest)
        checks.texts("parts", self.parts or ())
        checks.texts("columns", self.columns)
        checks.number("timeout_s", self.timeout_s, 0)
        checks.number("max_bad_fraction", self.max_bad_fraction, 0, 1)
        checks.one_of("bad_samples", self.bad_samples, BAD_SAMPLES)
        checks.one_of("pad", self.pad, PADS)
        checks.one_of("stop", self.stop, STOPS)
        if self.start_method is not None:
            checks.one_of("start_method", self.start_method, START_METHODS)
        if self.rank >= self.world_size:
            raise ConfigurationError(
                f"rank: expected a number below world_size, {self.world_size}, got {self.rank}"
            )
        if self.global_batch_size % self.world_size:
            raise ConfigurationError(
                f"global_batch_size: expected a multiple of world_size, {self.world_size}, "
                f"got {self.global_batch_size}; it counts the samples of all ranks"
            )

    @property
    def batch_size(self) -> int:
        """Samples in a batch of one rank."""
        return self.global_batch_size // self.world_size


def _are_weights(values: NDArray[Any]) -> bool:
    if not np.isfinite(values).all():
        return False
    return bool(np.min(values, initial=0) >= 0 and np.sum(values) > 0)
