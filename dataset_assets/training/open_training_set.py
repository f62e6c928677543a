"""Opens a training set that `training_set` wrote: its samples by position and by key."""

import io

import pyarrow.parquet as pq

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.stored_json import parse_stored
from dataset_assets.records.training_sets import SUMMARY, TrainingSetSummary
from dataset_assets.storage.parquet import translate_parquet_errors
from dataset_assets.storage.store import Store, open_store
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.payloads import SampleReader
from dataset_assets.training.sample_table import TableSamples
from dataset_assets.training.samples import TrainingSamples

_REMEDY = "make the training set again"


class TrainingSet(TrainingSamples):
    """The samples of a training set, with what is known of all of them.

    Args:
        summary: of the set.
        samples: those with a bucket.
        options: what to make of them. None: as when the set was made.
    """

    def __init__(
        self,
        summary: TrainingSetSummary,
        samples: TableSamples,
        options: SampleOptions | None = None,
    ) -> None:
        chosen = options or SampleOptions.from_json(summary.options)
        super().__init__(samples, SampleReader().read, chosen, samples.sizes())
        self.summary = summary
        self._table = samples

    def with_options(self, options: SampleOptions) -> "TrainingSet":
        """Return the same samples with other buckets, captions or reshaping."""
        return TrainingSet(self.summary, self._table, options)

    def keys(self) -> list[str]:
        """Return the key of each sample."""
        return self._table.keys()

    def media(self) -> list[str]:
        """Return the medium of each sample."""
        return [self.summary.medium] * len(self)

    @property
    def digest(self) -> str:
        """Hex; equal for equal sets."""
        return self.summary.fingerprint


def open_training_set(url: str, options: SampleOptions | None = None) -> TrainingSet:
    """Open a training set.

    Args:
        url: path or URL of its folder.
        options: what to make of the samples. None: as when the set was made.

    Raises:
        ObjectMissing: there is none.
        ShardCorrupt: its files are damaged, or not those that its summary names.
        ConfigurationError: a newer version of this package wrote it.

    Example:
        >>> from dataset_assets import open_training_set, training_set
        >>> summary = training_set("shards", "set", image_resolution_buckets=[[64, 64]])
        >>> samples = open_training_set("set")
        >>> samples[0]["image"].shape, samples[0]["image"].dtype
        ((3, 64, 64), dtype('float32'))
        >>> samples.position_of(samples[0]["key"])
        0
    """
    store = open_store(url)
    summary = read_summary(store)
    data = store.read(summary.table.name)
    where = store.locate(summary.table.name)
    if len(data) != summary.table.bytes:
        raise ShardCorrupt(
            f"{where}: expected {summary.table.bytes} bytes, got {len(data)}; {_REMEDY}"
        )
    with translate_parquet_errors(where, _REMEDY):
        samples = TableSamples(pq.read_table(io.BytesIO(data)))
    if len(samples) != summary.samples:
        raise ShardCorrupt(
            f"{where}: expected {summary.samples} samples, got {len(samples)}; {_REMEDY}"
        )
    return TrainingSet(summary, samples, options)


def read_summary(store: Store) -> TrainingSetSummary:
    """Read the summary of a training set.

    Raises:
        ObjectMissing: there is none.
        ShardCorrupt: it is something else.
        ConfigurationError: a newer version of this package wrote it.
    """
    return parse_stored(
        store.read(SUMMARY),
        TrainingSetSummary.from_json,
        where=store.locate(SUMMARY),
        expected="the summary of a training set",
        remedy=_REMEDY,
    )
