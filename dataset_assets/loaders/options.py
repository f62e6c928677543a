"""What a loader of shards is told: which samples, in which order and batches, and how they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.samples.staged_rows import StagedRows

BAD_SAMPLES = ("raise", "skip", "replace")
PADS = ("repeat", "drop")
STOPS = ("first_exhausted", "all_exhausted")
START_METHODS = (None, "fork", "forkserver", "spawn")
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
    "timeout_s": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderSource:
    """A set of samples, and how often each is taken.

    Raises:
        ConfigurationError: arrays of another length than the set, or weights that can not be.
    """

    rows: StagedRows
    weight: float | None = (
        None  # share of the epoch, relative to the other sources; None for all: every sample once
    )
    keep: NDArray[np.bool_] | None = None  # per sample: whether it is taken at all
    sample_weights: NDArray[Any] | None = (
        None  # per sample: drawn with replacement, as often as there are samples
    )

    def __post_init__(self) -> None:
        for name in ("keep", "sample_weights"):
            values = getattr(self, name)
            if values is not None and np.shape(values) != (len(self.rows),):
                raise ConfigurationError(
                    f"{name}: expected {len(self.rows)} values, one per sample of {self.rows.url}, came {np.shape(values)}"
                )
        if self.weight is not None and not self.weight > 0:
            raise ConfigurationError(
                f"weight: expected a number above 0, came {self.weight!r}; leave the source out instead"
            )
        weights = self.sample_weights
        if weights is not None and not (
            np.isfinite(weights).all() and np.min(weights, initial=0) >= 0 and np.sum(weights) > 0
        ):
            raise ConfigurationError("sample_weights: expected numbers from 0, not all 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderOptions:
    """How samples become batches.

    The global batches depend on global_batch_size, seed, shuffle, window_shards, drop_last, stop and repeats only; batch n of a rank is a slice of global
    batch n, and all ranks have equally many batches of equal size.

    Raises:
        ConfigurationError: a value that can not work.
    """

    global_batch_size: int = 32  # of all ranks together
    seed: int = 0
    shuffle: bool = True
    window_shards: int = (
        8  # samples are mixed with those of so many shards; all shards, and it is a full shuffle
    )
    drop_last: bool = False  # leave out the samples behind the last whole global batch
    pad: str = "repeat"  # the last batch, where the ranks do not divide it: "repeat" samples of it, or "drop" some
    stop: str = "first_exhausted"  # of weighted sources: or "all_exhausted", which repeats the samples of the others
    samples_per_epoch: int | None = None  # of weighted sources, instead of `stop`
    repeats: int = 1  # repeated augmentation: each sample so many times in a row, and so many times fewer samples in an epoch
    rank: int = 0
    world_size: int = 1
    parts: tuple[str, ...] | None = None  # members to read beside the payload; None: all
    columns: tuple[str, ...] = ()  # of the index, for `LoadedSample.columns`
    bad_samples: str = (
        "raise"  # or "skip": smaller batches; or "replace": the next good sample of the same shard
    )
    max_bad_fraction: float = (
        0.01  # of the samples of an epoch on this rank that may be skipped or replaced
    )
    num_workers: int = 0
    start_method: str | None = None  # of the workers; None: what Python starts processes with
    persistent_workers: bool = True  # workers live as long as the loader
    prefetch_batches: int = 2  # per worker
    pin_memory: bool = False
    timeout_s: float = (
        0  # for a batch from a worker; 0: none, since every read has a timeout of its own
    )
    cache_dir: str | None = None  # shards of remote stores; None: `~/.cache/dataset_assets/shards`
    cache_bytes: int = (
        64 << 30
    )  # limit of that folder, for all who use it; 0: no cache, every sample is a request
    prefetch_shards: int = 8  # shards on their way before they are needed
    verify: bool = True  # compare the sha256 of what is downloaded with the manifest

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            _check_number(name, getattr(self, name), lowest)
        for name, known in (
            ("bad_samples", BAD_SAMPLES),
            ("pad", PADS),
            ("stop", STOPS),
            ("start_method", START_METHODS),
        ):
            _check_choice(name, getattr(self, name), known)
        if self.rank >= self.world_size:
            raise ConfigurationError(
                f"rank: expected a number below world_size, {self.world_size}, came {self.rank}"
            )
        if self.global_batch_size % self.world_size:
            raise ConfigurationError(
                f"global_batch_size: expected a multiple of world_size, {self.world_size}, came {self.global_batch_size}; it counts all ranks"
            )
        if not 0 <= self.max_bad_fraction <= 1:
            raise ConfigurationError(
                f"max_bad_fraction: expected a number from 0 to 1, came {self.max_bad_fraction!r}"
            )

    @property
    def batch_size(self) -> int:
        """Samples of one batch of one rank."""
        return self.global_batch_size // self.world_size


def _check_number(name: str, value: Any, lowest: int) -> None:
    kind = (int, float) if name == "timeout_s" else int
    if not isinstance(value, kind) or value < lowest:
        raise ConfigurationError(f"{name}: expected a number from {lowest}, came {value!r}")


def _check_choice(name: str, value: Any, known: Sequence[str | None]) -> None:
    if value not in known:
        raise ConfigurationError(
            f"{name}: expected one of {', '.join(map(repr, known))}, came {value!r}"
        )
