"""The dataset of a `ShardLoader`: tickets of samples -> what the transform makes of them, in any worker process.

Bad samples are those for which reading or transforming raises `SampleError`. Every way to go on without one is bounded.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from dataset_assets.errors import SourceError, TooManyBadSamples
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.order.epoch import batch_random, sample_random
from dataset_assets.loaders.order.global_batches import Ticket
from dataset_assets.loaders.samples.cache import DEFAULT_FOLDER, ShardCache
from dataset_assets.loaders.samples.reader import SampleReader, is_local
from dataset_assets.loaders.samples.sample import Collate, LoadedSample, Transform
from dataset_assets.loaders.samples.staged_rows import PAYLOAD
from dataset_assets.loaders.torch.metrics import Figures
from dataset_assets.records.staged import SampleError

logger = logging.getLogger(__name__)

_MAX_REPLACEMENTS = 16  # samples tried in place of a bad one


def _cache(sources: Sequence[LoaderSource], options: LoaderOptions) -> ShardCache | None:
    """Return the cache, when there is a use for it."""
    if not options.cache_bytes or all(is_local(source.rows) for source in sources):
        return None
    return ShardCache(
        options.cache_dir or DEFAULT_FOLDER, options.cache_bytes, verify=options.verify
    )


class Samples(list[Any]):
    """What the transform made of the samples of a batch, with the batch's randomness for `collate`."""

    rng: np.random.Generator


class Collator:
    """Calls `collate` with the randomness of the batch. Takes plain lists as well, as torch hands them over for other datasets."""

    def __init__(self, collate: Collate) -> None:
        self._collate = collate

    def __call__(self, samples: Sequence[Any]) -> Any:
        """Return the batch."""
        rng = samples.rng if isinstance(samples, Samples) else batch_random(0, 0, 0)
        return self._collate(samples, rng)


class ShardDataset(Dataset[Any]):
    """See the module."""

    def __init__(
        self,
        sources: Sequence[LoaderSource],
        transform: Transform,
        options: LoaderOptions,
        *,
        max_bad: int,
    ) -> None:
        self.figures = Figures(options.num_workers)
        cache = _cache(sources, options)
        self._readers = [
            SampleReader(source.rows, cache, self.figures, options.parts) for source in sources
        ]
        self._kept = [source.keep for source in sources]
        self._transform, self._options, self._max_bad = transform, options, max_bad
        self._starts = np.cumsum([0, *(len(source.rows) for source in sources)])
        self._first_shards = np.cumsum([0, *(len(source.rows.files) for source in sources)])

    def __len__(self) -> int:
        """Return the number of samples of all sources."""
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Any:
        """Return one sample of epoch 0, by index."""
        return self.__getitems__([Ticket(0, index, index)])[0]

    def __getitems__(self, tickets: Sequence[Ticket]) -> Samples:
        """Return the samples of a batch, fewer when bad ones are skipped.

        Raises:
            SourceError, TooManyBadSamples: as `LoaderOptions.bad_samples` says.
            ShardError, StorageError: a shard can not be read.
        """
        tickets = [Ticket(*ticket) for ticket in tickets]
        found = Samples(made for ticket in tickets for made in self._one(ticket))
        if not found and tickets:
            raise TooManyBadSamples(
                f"all {len(tickets)} samples of a batch are bad, the first is {self.describe(tickets[0].sample)}"
            )
        if tickets:
            found.rng = batch_random(self._options.seed, tickets[0].epoch, tickets[0].position)
        return found

    def describe(self, index: int) -> str:
        """Say for people which sample it is."""
        source, row = self._locate(index)
        rows = self._readers[source].rows
        return f"{rows.key(row)} in {rows.store.locate(rows.files[rows.shard[row]].name)}"

    def fetch(self, shard: int) -> int:
        """Fetch a shard, numbered over all sources, into the cache; return the bytes downloaded, 0 when it was there or is read in place."""
        reader, number = self._reader_of(shard)
        return reader.fetch(number)

    def release(self, shard: int) -> None:
        """Say that a shard will not be read again in this epoch."""
        reader, number = self._reader_of(shard)
        reader.release(number)

    def _reader_of(self, shard: int) -> tuple[SampleReader, int]:
        source = int(np.searchsorted(self._first_shards, shard, side="right")) - 1
        return self._readers[source], shard - int(self._first_shards[source])

    @property
    def prefetches(self) -> bool:
        """Whether there is anything to fetch ahead of time."""
        return any(reader.prefetches for reader in self._readers)

    def _locate(self, index: int) -> tuple[int, int]:
        source = int(np.searchsorted(self._starts, index, side="right")) - 1
        return source, index - int(self._starts[source])

    def _one(self, ticket: Ticket) -> list[Any]:
        """Return the sample, or another for it, or none."""
        try:
            return [self._make(ticket)]
        except SampleError as exc:
            self._note(ticket, exc)
        if self._options.bad_samples == "skip":
            return []
        for index in self._neighbours(ticket.sample):
            with suppress(SampleError):  # it is counted in its own place
                return [self._make(ticket._replace(sample=index))]
        raise TooManyBadSamples(
            f"no good sample in place of {self.describe(ticket.sample)}: those around it are bad too"
        )

    def _make(self, ticket: Ticket) -> Any:
        source, row = self._locate(ticket.sample)
        rows = self._readers[source].rows
        members = self._readers[source].read(row)
        payload = members.pop(PAYLOAD)
        columns = rows.values(row, self._options.columns)
        sample = LoadedSample(
            rows.key(row),
            ticket.sample,
            source,
            ticket.epoch,
            rows.extension(row),
            payload,
            members,
            columns,
        )
        return self._transform(
            sample, sample_random(self._options.seed, ticket.epoch, ticket.position)
        )

    def _note(self, ticket: Ticket, error: SampleError) -> None:
        """Count a bad sample.

        Raises:
            SourceError: there must be none. TooManyBadSamples: there are too many.
        """
        what = f"{self.describe(ticket.sample)}: {error.message}"
        if self._options.bad_samples == "raise":
            raise SourceError(
                f"bad sample {what}; bad_samples='skip' or 'replace' goes on without it"
            ) from error
        logger.warning("bad sample %s", what)
        if self.figures.add_bad(ticket.epoch, ticket.sample) > self._max_bad:
            raise TooManyBadSamples(
                f"more than {self._max_bad} bad samples in epoch {ticket.epoch}, the last is {what}; see max_bad_fraction"
            )

    def _neighbours(self, index: int) -> list[int]:
        """Return the samples of the same shard around one: they depend on nothing but the set, and are at hand already."""
        source, row = self._locate(index)
        shard = self._readers[source].rows.shard
        near = (row + sign * step for step in range(1, _MAX_REPLACEMENTS + 1) for sign in (1, -1))
        kept = self._kept[source]
        same = [
            other
            for other in near
            if 0 <= other < len(shard)
            and shard[other] == shard[row]
            and (kept is None or kept[other])
        ]
        return [index - row + other for other in same[:_MAX_REPLACEMENTS]]
