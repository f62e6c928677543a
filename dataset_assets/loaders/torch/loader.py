"""`ShardLoader`: batches for torch from shards.

It is a `torch.utils.data.DataLoader`, so Lightning, accelerate and DDP accept it. The order of an
epoch depends on the shards, the seed and the epoch only, so a run resumes at any batch, with any
number of workers and ranks.

In a distributed run each process makes a loader with its rank and world_size (Lightning: set
`use_distributed_sampler=False`). If accelerate's `prepare` distributes the batches itself, leave
them at 0 and 1.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from traceback import clear_frames
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, default_collate

from dataset_assets import processes
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.order.cursor import EpochCursor, read_state, write_state
from dataset_assets.loaders.order.epoch import EpochOrder
from dataset_assets.loaders.samples.prefetch import (
    Downloads,
    Prefetcher,
    PrefetchLimits,
    shard_uses,
)
from dataset_assets.loaders.samples.rows import PAYLOAD, Rows, check_columns
from dataset_assets.loaders.samples.sample import Collate, LoadedSample, Transform
from dataset_assets.loaders.samples.shard_rows import ShardRows, StagedRows
from dataset_assets.loaders.torch.batch_sampler import GlobalBatchSampler
from dataset_assets.loaders.torch.dataset import Collator, ShardDataset
from dataset_assets.loaders.torch.metrics import Metric, WaitTimer
from dataset_assets.loaders.torch.shared_memory import allow_copies

__all__ = [
    "PAYLOAD",
    "Collate",
    "LoadedSample",
    "LoaderOptions",
    "LoaderSource",
    "ShardLoader",
    "ShardRows",
    "StagedRows",
    "Transform",
    "stack",
]


def stack(samples: Sequence[tuple[Any, ...]], rng: Any = None) -> Any:
    """Stack each field of the samples into a tensor, as torch does by default.

    Args:
        samples: results of the transform.
        rng: not used.

    Returns:
        A list with one tensor (B, ...) per field.
    """
    return default_collate(list(samples))


class ShardLoader(DataLoader[Any]):
    """Batches from shards for torch.

    Iterating yields the batches of one epoch on this rank; iterating again, those of the next
    epoch. `len()` is the number of batches of an epoch, equal on all ranks. Nothing is downloaded
    before the first batch.

    Args:
        sources: one set of samples or several; a `LoaderSource` adds weights to a set.
        transform: makes arrays of a `LoadedSample`.
        collate: makes a batch of the results of the transform.
        options: everything else. None: the defaults of `LoaderOptions`.

    Raises:
        ShardCorrupt: a shard is missing or has another size than its manifest says.
        SourceError: there are no samples.
        MissingColumn: `options.columns` has a name that a source does not have.
        ConfigurationError: the options cannot work with these sources.

    Example:
        >>> from dataset_assets import LoaderOptions, ShardLoader, ShardRows
        >>> def transform(sample, rng):
        ...     return sample.image(), len(sample.key)
        >>> options = LoaderOptions(global_batch_size=16, seed=7)
        >>> loader = ShardLoader(ShardRows("shards"), transform, options=options)
        >>> for images, lengths in loader:
        ...     state = loader.state_dict()  # resumes after this batch
        >>> tuple(images.shape[1:])
        (64, 64, 3)
    """

    def __init__(
        self,
        sources: Rows | LoaderSource | Sequence[Rows | LoaderSource],
        transform: Transform,
        collate: Collate = stack,
        *,
        options: LoaderOptions | None = None,
    ) -> None:
        self.options = options or LoaderOptions()
        self._sources = _checked_sources(sources, self.options)
        order = EpochOrder(self._sources, self.options)
        self._samples_per_epoch = order.counts
        self._sampler = GlobalBatchSampler(order, self.options)
        self._cursor = EpochCursor(self._sampler.count)
        self._shaping = _shaping(self._sources, order, self.options)
        self._sizes = {
            "shards": sum(len(each.rows.shard_bytes) for each in self._sources),
            "samples": sum(len(each.rows) for each in self._sources),
        }
        self._timer = WaitTimer()
        self._downloads = Downloads()
        max_bad = math.ceil(self.options.max_bad_fraction * self._sampler.sizes(0).samples)
        self._samples = ShardDataset(self._sources, transform, self.options, max_bad=max_bad)
        workers = self.options.num_workers
        if workers:
            processes.own_multiprocessing_folder()  # workers have sockets there, for tensors
        super().__init__(
            self._samples,
            batch_sampler=self._sampler,
            collate_fn=Collator(collate),
            num_workers=workers,
            multiprocessing_context=self.options.start_method if workers else None,
            prefetch_factor=self.options.prefetch_batches if workers else None,
            persistent_workers=self.options.persistent_workers and workers > 0,
            pin_memory=self.options.pin_memory,
            timeout=self.options.timeout_s if workers else 0,
            worker_init_fn=_prepare_worker if workers else None,
        )

    @property
    def epoch(self) -> int:
        """The epoch of the batches, or the next one before an iteration."""
        return self._cursor.epoch

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of the epoch; after `load_state_dict` the remaining ones.

        Raises:
            SourceError: a sample is bad, and bad_samples is "raise".
            TooManyBadSamples: more samples are bad than the policy allows.
            ShardCorrupt, ObjectMissing, StorageError: a shard cannot be read; the message names it.
        """
        self._sampler.epoch, self._sampler.start = self._cursor.begin()
        batches = super().__iter__()
        # after the workers are forked, since it has threads
        prefetcher = self._start_prefetcher()
        try:
            yield from self._hand_out(batches, prefetcher)
            self._cursor.finish()
            self._sampler.epoch = self._cursor.epoch
        except Exception as exc:
            # its workers have stopped midway
            self._iterator = None
            del batches
            # torch's frames hold the workers in a cycle; collected later, each takes 5 s to end
            clear_frames(exc.__traceback__)
            if isinstance(exc, DatasetAssetsError):
                raise _without_traceback(exc) from None
            raise
        finally:
            if prefetcher is not None:
                prefetcher.close()

    def _hand_out(self, batches: Iterator[Any], prefetcher: Prefetcher | None) -> Iterator[Any]:
        self._timer.start()
        while True:
            self._timer.request()
            batch = next(batches, None)
            if batch is None:
                return
            self._timer.receive()
            self._cursor.taken += 1
            if prefetcher is not None:
                prefetcher.advance(self._requested_position())
            yield batch

    def _requested_position(self) -> int:
        """Return the position up to which samples are requested, or will be by the next batch."""
        options = self.options
        ahead = max(options.num_workers * options.prefetch_batches, 1)
        return self._sampler.position(self._cursor.taken + ahead)

    def _start_prefetcher(self) -> Prefetcher | None:
        options = self.options
        if not self._samples.prefetches or not options.prefetch_shards:
            return None
        sizes = [size for each in self._sources for size in each.rows.shard_bytes]
        starts = np.cumsum([0, *(len(each.rows.shard_bytes) for each in self._sources)])
        numbered = zip(self._sources, starts[:-1], strict=True)
        shard = np.concatenate([each.rows.shard + start for each, start in numbered])
        first = self._sampler.position(self._sampler.start)
        uses = shard_uses(self._sampler.epoch_order(), first, shard)
        limits = PrefetchLimits(
            ahead=options.prefetch_shards,
            max_bytes=options.cache_bytes,
            lag=options.num_workers * options.prefetch_batches * options.global_batch_size,
        )
        prefetcher = Prefetcher(self._samples, uses, sizes, self._downloads, limits)
        prefetcher.advance(self._requested_position())
        return prefetcher

    def set_epoch(self, epoch: int) -> None:
        """Make this epoch next.

        The position from `load_state_dict` is kept if the epoch is the same.
        """
        self._cursor.set_epoch(epoch)
        self._sampler.epoch = self._cursor.epoch

    def state_dict(self) -> dict[str, Any]:
        """Return the position after the last batch that was handed out.

        Numbers and short texts, less than 1 KB as JSON. Equal on all ranks.
        """
        return write_state(self._cursor, self._shaping, self._sizes)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume where a state was saved, with any number of ranks and workers.

        Raises:
            LoaderStateMismatch: it belongs to other data or options; the message names which.
        """
        sampler = self._sampler
        read_state(
            state,
            self._cursor,
            self._shaping,
            self._sizes,
            longest=lambda epoch: sampler.sizes(epoch).longest,
        )
        sampler.epoch = self._cursor.epoch

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of this rank since the loader was made.

        Workers may be ahead of the batches that were handed out. Times are in seconds.
        """
        counters = self._samples.counters
        timer = self._timer
        samples = counters.total(Metric.SAMPLES)
        total_s = timer.total_s
        batches = self._sampler.sizes(self._sampler.epoch)
        return {
            "batches": timer.batches,
            "samples": samples,
            "samples_per_s": samples / total_s if total_s else 0.0,
            "wait_s": timer.wait_s,
            "wait_fraction": timer.wait_s / total_s if total_s else 0.0,
            "bytes_read": counters.total(Metric.BYTES_READ),
            "shards_downloaded": counters.total(Metric.SHARDS_DOWNLOADED) + self._downloads.shards,
            "bytes_downloaded": counters.total(Metric.BYTES_DOWNLOADED) + self._downloads.bytes,
            "bad_samples": counters.total(Metric.BAD),
            "bad_keys": [self._samples.describe(index) for index in counters.bad_indices()],
            "samples_per_epoch": self._samples_per_epoch,
            "padded": batches.padded,
            "left_out": batches.left_out,
        }


def _prepare_worker(_number: int) -> None:
    processes.exit_with_parent()
    allow_copies()


def _checked_sources(
    given: Rows | LoaderSource | Sequence[Rows | LoaderSource], options: LoaderOptions
) -> list[LoaderSource]:
    """Return the sources, all of whose shards and columns exist."""
    listed = given if isinstance(given, Sequence) else [given]
    sources = [
        each if isinstance(each, LoaderSource) else LoaderSource(rows=each) for each in listed
    ]
    for source in sources:
        check_columns(source.rows, options.columns)
        source.rows.check_shards()
    return sources


def _shaping(
    sources: Sequence[LoaderSource], order: EpochOrder, options: LoaderOptions
) -> dict[str, Any]:
    """Return what shapes the global batches."""
    digests = " ".join(source.rows.digest for source in sources)
    data = hashlib.sha256(digests.encode()).hexdigest()[:16]
    names = ("global_batch_size", "seed", "shuffle", "window_shards", "drop_last", "repeats")
    return {"data": data, "mix": order.mix, **{name: getattr(options, name) for name in names}}


def _without_traceback(error: DatasetAssetsError) -> DatasetAssetsError:
    """Return an error of a worker as it was raised there.

    torch puts the whole traceback of the worker into the message.
    """
    kind = type(error)
    _, _, message = str(error).rpartition(f"{kind.__module__}.{kind.__qualname__}: ")
    return kind(message.strip())
