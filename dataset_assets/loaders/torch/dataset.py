"""The dataset of a `ShardLoader`: sample requests -> results of the transform, in any worker.

A sample is bad if reading or transforming it raises `SampleError`. Each policy for bad samples is
bounded.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from dataset_assets.errors import SourceError, TooManyBadSamples
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.order.random_streams import batch_random, sample_random
from dataset_assets.loaders.samples.cache import DEFAULT_FOLDER, ShardCache
from dataset_assets.loaders.samples.reader import SampleReader, is_cacheable, open_reader
from dataset_assets.loaders.samples.rows import PAYLOAD
from dataset_assets.loaders.samples.sample import Collate, LoadedSample, Transform
from dataset_assets.loaders.torch.batch_sampler import SampleRequest
from dataset_assets.loaders.torch.metrics import SharedCounters
from dataset_assets.records.staged import SampleError

logger = logging.getLogger(__name__)

_MAX_REPLACEMENTS = 16  # samples tried in place of a bad one


class TransformedSamples(list[Any]):
    """Results of the transform for the samples of a batch, with the random generator of it."""

    rng: np.random.Generator


class Collator:
    """Calls `collate` with the random generator of the batch.

    Plain lists, which torch passes for other datasets, get that of the first batch.
    """

    def __init__(self, collate: Collate) -> None:
        self._collate = collate

    def __call__(self, samples: Sequence[Any]) -> Any:
        """Return the batch."""
        if isinstance(samples, TransformedSamples):
            return self._collate(samples, samples.rng)
        return self._collate(samples, batch_random(0, 0, 0))


class ShardDataset(Dataset[Any]):
    """The samples of all sources, numbered in the order of the sources."""

    def __init__(
        self,
        sources: Sequence[LoaderSource],
        transform: Transform,
        options: LoaderOptions,
        *,
        max_bad: int,
    ) -> None:
        self.counters = SharedCounters(options.num_workers)
        cache = _open_cache(sources, options)
        self._readers = [
            open_reader(source.rows, cache, options.parts, self.counters.add_download)
            for source in sources
        ]
        self._kept = [source.keep for source in sources]
        self._groups = [source.groups for source in sources]
        self._transform = transform
        self._options = options
        self._max_bad = max_bad
        self._starts = np.cumsum([0, *(len(source.rows) for source in sources)])
        shards = [len(source.rows.shard_bytes) for source in sources]
        self._first_shards = np.cumsum([0, *shards])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Any:
        """Return one sample of epoch 0, by index."""
        return self.__getitems__([SampleRequest(0, index, index)])[0]

    def __getitems__(self, requests: Sequence[SampleRequest]) -> TransformedSamples:
        """Return the samples of a batch; fewer if bad ones are skipped.

        Raises:
            SourceError, TooManyBadSamples: as `LoaderOptions.bad_samples` says.
            ShardError, StorageError: a shard cannot be read.
        """
        requests = [SampleRequest(*request) for request in requests]
        found = TransformedSamples(
            sample for request in requests for sample in self._load_good(request)
        )
        if not found and requests:
            raise TooManyBadSamples(
                f"all {len(requests)} samples of a batch are bad, the first is "
                f"{self.describe(requests[0].sample)}"
            )
        if requests:
            first = requests[0]
            found.rng = batch_random(self._options.seed, first.epoch, first.position)
        return found

    def describe(self, index: int) -> str:
        """Return key and location of a sample, for messages."""
        source, row = self._locate(index)
        return self._readers[source].rows.describe(row)

    @property
    def prefetches(self) -> bool:
        """Whether shards can be fetched ahead."""
        return any(reader.prefetches for reader in self._readers)

    def fetch(self, shard: int) -> int:
        """Download a shard, numbered over all sources, unless it is cached or read in place.

        Returns:
            The bytes that were downloaded.
        """
        reader, number = self._reader_of(shard)
        return reader.fetch(number)

    def release(self, shard: int) -> None:
        """Note that a shard will not be read again in this epoch."""
        reader, number = self._reader_of(shard)
        reader.release(number)

    def _reader_of(self, shard: int) -> tuple[SampleReader, int]:
        source = int(np.searchsorted(self._first_shards, shard, side="right")) - 1
        return self._readers[source], shard - int(self._first_shards[source])

    def _locate(self, index: int) -> tuple[int, int]:
        source = int(np.searchsorted(self._starts, index, side="right")) - 1
        return source, index - int(self._starts[source])

    def _load_good(self, request: SampleRequest) -> list[Any]:
        """Return the sample; if it is bad a replacement, or nothing."""
        try:
            return [self._load(request)]
        except SampleError as exc:
            self._count_bad(request, exc)
        if self._options.bad_samples == "skip":
            return []
        for index in self._neighbors(request.sample):
            with suppress(SampleError):  # it is counted at its own position
                return [self._load(request._replace(sample=index))]
        raise TooManyBadSamples(
            f"no good sample in place of {self.describe(request.sample)}: "
            "those around it are bad too"
        )

    def _load(self, request: SampleRequest) -> Any:
        source, row = self._locate(request.sample)
        reader = self._readers[source]
        rows = reader.rows
        members = reader.read(row)
        self.counters.add_sample(sum(map(len, members.values())))
        payload = members.pop(PAYLOAD)
        sample = LoadedSample(
            rows.key(row),
            request.sample,
            source,
            request.epoch,
            rows.extension(row),
            payload,
            members,
            rows.values(row, self._options.columns),
        )
        rng = sample_random(self._options.seed, request.epoch, request.position)
        return self._transform(sample, rng)

    def _count_bad(self, request: SampleRequest, error: SampleError) -> None:
        """Count a bad sample.

        Raises:
            SourceError: no sample may be bad.
            TooManyBadSamples: there are more than `max_bad_fraction`.
        """
        text = f"{self.describe(request.sample)}: {error.message}"
        if self._options.bad_samples == "raise":
            raise SourceError(
                f"bad sample {text}; set bad_samples='skip' or 'replace' to continue without it"
            ) from error
        logger.warning("bad sample %s", text)
        if self.counters.add_bad(request.epoch, request.sample) > self._max_bad:
            raise TooManyBadSamples(
                f"more than {self._max_bad} bad samples in epoch {request.epoch}, the last is "
                f"{text}; see max_bad_fraction"
            )

    def _neighbors(self, index: int) -> list[int]:
        """Return the samples of the same shard and group around one, nearest first.

        They depend on the set only, and their shard is at hand already.
        """
        source, row = self._locate(index)
        shard = self._readers[source].rows.shard
        kept = self._kept[source]
        groups = self._groups[source]
        if groups is None:
            steps = range(1, _MAX_REPLACEMENTS + 1)
            near = [row + sign * step for step in steps for sign in (1, -1)]
        else:  # those of a rare group may be far
            same_group = np.flatnonzero(groups == groups[row])
            near = same_group[np.argsort(np.abs(same_group - row), kind="stable")][1:].tolist()
        same = [other for other in near if 0 <= other < len(shard) and shard[other] == shard[row]]
        usable = [other for other in same if kept is None or kept[other]]
        return [index - row + other for other in usable[:_MAX_REPLACEMENTS]]


def _open_cache(sources: Sequence[LoaderSource], options: LoaderOptions) -> ShardCache | None:
    """Return the cache, if a source needs it."""
    if not options.cache_bytes or not any(is_cacheable(source.rows) for source in sources):
        return None
    folder = options.cache_dir or DEFAULT_FOLDER
    return ShardCache(folder, options.cache_bytes, verify=options.verify)
