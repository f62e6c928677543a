"""Batches for torch out of staged shards: a plain `torch.utils.data.DataLoader`, so whatever takes one takes this (Lightning, accelerate, DDP).

    rows = StagedRows("s3://data/coco/staged/train2017")
    loader = ShardLoader(rows, transform, options=LoaderOptions(global_batch_size=64, num_workers=4))
    for epoch in range(loader.epoch, 90):
        loader.set_epoch(epoch)
        for batch in loader: ...           # loader.state_dict() at any batch

The order of an epoch is a function of the shards, the seed and the epoch, so a run goes on at any batch, with any number of workers and ranks.
Each process of a distributed run makes a loader with its rank and world_size (Lightning: `use_distributed_sampler=False`); where accelerate's `prepare`
deals out the batches itself, leave them at 0 and 1.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from traceback import clear_frames
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, default_collate

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.order.epoch import EpochOrder
from dataset_assets.loaders.order.global_batches import GlobalBatches
from dataset_assets.loaders.order.state import Place, read_state, write_state
from dataset_assets.loaders.samples.prefetch import Downloads, Limits, Prefetcher, needs
from dataset_assets.loaders.samples.sample import Collate, LoadedSample, Transform
from dataset_assets.loaders.samples.staged_rows import PAYLOAD, StagedRows
from dataset_assets.loaders.torch.dataset import Collator, ShardDataset
from dataset_assets.loaders.torch.metrics import Clockwork, Figure

__all__ = [
    "PAYLOAD",
    "Collate",
    "LoadedSample",
    "LoaderOptions",
    "LoaderSource",
    "ShardLoader",
    "StagedRows",
    "Transform",
    "stack",
]


def stack(samples: Sequence[tuple[Any, ...]], rng: Any = None) -> Any:
    """Collate as torch does by default: each field of the samples stacked into a tensor; a list of tensors. `rng` is not used."""
    return default_collate(list(samples))


class ShardLoader(DataLoader[Any]):
    """Iterating gives the batches of one epoch on this rank; iterating again gives the next epoch.

    `len()` is the number of batches of an epoch, equal on all ranks.
    """

    def __init__(
        self,
        sources: StagedRows | LoaderSource | Sequence[StagedRows | LoaderSource],
        transform: Transform,
        collate: Collate = stack,
        *,
        options: LoaderOptions | None = None,
    ) -> None:
        """Look at the shards; nothing is downloaded before the first batch.

        Raises:
            ShardCorrupt: a shard is missing or has another size than its manifest says.
            SourceError: there are no samples.
            ConfigurationError: options that can not work with these sources.
        """
        self.options = options or LoaderOptions()
        self._sources = _sources(sources, self.options)
        order = EpochOrder(self._sources, self.options)
        self._samples_per_epoch = order.counts
        self._batches = GlobalBatches(order, self.options)
        self._place = Place(len(self._batches))
        self._shaping = _shaping(self._sources, order, self.options)
        self._sizes = {
            "shards": sum(len(each.rows.files) for each in self._sources),
            "samples": sum(len(each.rows) for each in self._sources),
        }
        self._clockwork, self._downloads = Clockwork(), Downloads()
        max_bad = math.ceil(self.options.max_bad_fraction * self._batches.samples)
        self._shards = ShardDataset(self._sources, transform, self.options, max_bad=max_bad)
        workers = self.options.num_workers
        super().__init__(
            self._shards,
            batch_sampler=self._batches,
            collate_fn=Collator(collate),
            num_workers=workers,
            multiprocessing_context=self.options.start_method if workers else None,
            prefetch_factor=self.options.prefetch_batches if workers else None,
            persistent_workers=self.options.persistent_workers and workers > 0,
            pin_memory=self.options.pin_memory,
            timeout=self.options.timeout_s if workers else 0,
        )

    @property
    def epoch(self) -> int:
        """The epoch that batches are of, or that comes next."""
        return self._place.epoch

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of the epoch; after `load_state_dict` those that are left of it.

        Raises:
            SourceError: a bad sample, with bad_samples="raise". TooManyBadSamples: more than the policy allows.
            ShardCorrupt, ObjectMissing, StorageError: a shard can not be read; the message names it.
        """
        self._batches.epoch, self._batches.start = self._place.begin()
        batches = super().__iter__()
        prefetcher = self._prefetcher()  # behind the fork of the workers, since it has threads
        try:
            yield from self._timed(batches)
            self._place.finish()
        except Exception as exc:
            self._iterator = None  # its workers have stopped half way
            del batches
            clear_frames(
                exc.__traceback__
            )  # torch's hold the workers in a cycle: collected late, those take 5 s each to end
            if isinstance(exc, DatasetAssetsError):
                raise _plain(exc) from None
            raise
        finally:
            self._batches.on_batch = None
            if prefetcher is not None:
                prefetcher.close()

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        self._clockwork.start()
        while True:
            self._clockwork.ask()
            batch = next(batches, None)
            if batch is None:
                return
            self._clockwork.got()
            self._place.taken += 1
            yield batch

    def _prefetcher(self) -> Prefetcher | None:
        options = self.options
        if not self._shards.prefetches or not options.prefetch_shards:
            return None
        starts = np.cumsum([0, *(len(each.rows.files) for each in self._sources)])
        shard = np.concatenate(
            [each.rows.shard + start for each, start in zip(self._sources, starts, strict=False)]
        )
        schedule = needs(
            self._batches.order(), self._batches.start * options.global_batch_size, shard
        )
        sizes = [file.bytes for each in self._sources for file in each.rows.files]
        in_flight = options.num_workers * options.prefetch_batches * options.global_batch_size
        limits = Limits(ahead=options.prefetch_shards, max_bytes=options.cache_bytes, lag=in_flight)
        prefetcher = Prefetcher(self._shards, schedule, sizes, self._downloads, limits)
        prefetcher.advance(self._batches.start * options.global_batch_size + in_flight)
        self._batches.on_batch = prefetcher.advance
        return prefetcher

    def set_epoch(self, epoch: int) -> None:
        """Make this epoch next. The place within it, from `load_state_dict`, is kept if the epoch is the same."""
        self._place.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the place behind the last batch that was handed out: numbers and short texts, under 1 KB as JSON. Equal on all ranks."""
        return write_state(self._place, self._shaping, self._sizes)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, with any number of ranks and workers.

        Raises:
            LoaderStateMismatch: it belongs to other data or options; the message names which.
        """
        read_state(state, self._place, self._shaping, self._sizes)

    def metrics(self) -> dict[str, Any]:
        """Return figures of this rank since the loader was made. Workers may be ahead of the batches that were handed out."""
        figures, clockwork = self._shards.figures, self._clockwork
        samples = figures.total(Figure.SAMPLES)
        return {
            "batches": clockwork.batches,
            "samples": samples,
            "samples_per_s": samples / clockwork.busy_s if clockwork.busy_s else 0.0,
            "wait_s": clockwork.wait_s,
            "wait_fraction": clockwork.wait_s / clockwork.busy_s if clockwork.busy_s else 0.0,
            "bytes_read": figures.total(Figure.BYTES_READ),
            "shards_downloaded": figures.total(Figure.SHARDS_DOWNLOADED) + self._downloads.shards,
            "bytes_downloaded": figures.total(Figure.BYTES_DOWNLOADED) + self._downloads.bytes,
            "bad_samples": figures.total(Figure.BAD),
            "bad_keys": [self._shards.describe(index) for index in figures.bad_indices()],
            "samples_per_epoch": self._samples_per_epoch,
            "padded": self._batches.padded,
        }


def _sources(
    given: StagedRows | LoaderSource | Sequence[StagedRows | LoaderSource], options: LoaderOptions
) -> list[LoaderSource]:
    """Return the sources, looked at: their shards are all there, their columns too."""
    listed = [given] if isinstance(given, StagedRows | LoaderSource) else list(given)
    sources = [LoaderSource(rows=each) if isinstance(each, StagedRows) else each for each in listed]
    for source in sources:
        source.rows.check_columns(options.columns)
        source.rows.check_shards()
    return sources


def _shaping(
    sources: Sequence[LoaderSource], order: EpochOrder, options: LoaderOptions
) -> dict[str, Any]:
    """Return what shapes the global batches."""
    data = hashlib.sha256(" ".join(source.rows.digest for source in sources).encode()).hexdigest()[
        :16
    ]
    names = ("global_batch_size", "seed", "shuffle", "window_shards", "drop_last", "repeats")
    return {"data": data, "mix": order.mix, **{name: getattr(options, name) for name in names}}


def _plain(error: DatasetAssetsError) -> DatasetAssetsError:
    """Return an error of a worker as it was raised there: torch puts the whole traceback into the message."""
    kind = type(error)
    _, _, message = str(error).rpartition(f"{kind.__module__}.{kind.__qualname__}: ")
    return kind(message.strip())
