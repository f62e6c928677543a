"""Samples for training as rows of a loader: each is read by itself, in a full shuffle."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import MissingColumn
from dataset_assets.loaders.samples.rows import PAYLOAD
from dataset_assets.loaders.samples.shard_rows import ShardRows
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.staged import StagedDataset
from dataset_assets.training.samples import TrainingSamples


class TrainingRows:
    """The samples of a set. There are no shards, so nothing is fetched ahead or cached.

    Args:
        samples: the set. Its options are part of the digest, since batches depend on them.
    """

    shard_bytes: tuple[int, ...] = (0,)
    parts: tuple[str, ...] = ()
    dataset: StagedDataset | None = None
    columns: tuple[str, ...] = ()

    def __init__(self, samples: TrainingSamples) -> None:
        self.samples = samples
        self.url = samples.samples[0].url if len(samples) else "a training set without samples"
        self.digest = fingerprint_of([samples.digest, samples.options.to_json()])
        self.shard: NDArray[np.int32] = np.zeros(len(samples), np.int32)

    def __len__(self) -> int:
        return len(self.samples)

    def column(self, name: str) -> NDArray[Any]:
        """Refuse: a set has no columns for loaders.

        Raises:
            MissingColumn: always.
        """
        raise MissingColumn(
            f"{self.url} has no column {name!r}: expected none; samples carry their columns"
        )

    def values(self, index: int, names: Sequence[str]) -> dict[str, Any]:
        """Return the named columns of a sample; there are none."""
        return {}

    def key(self, index: int) -> str:
        """Return the key of a sample."""
        return self.samples.samples[index].key

    def extension(self, index: int) -> str:
        """Return the suffix of the payload of a sample."""
        return self.samples.samples[index].suffix

    def describe(self, index: int) -> str:
        """Return key and location of a sample, for messages."""
        sample = self.samples.samples[index]
        return f"{sample.key!r} of {sample.url}"

    def in_shards(self) -> ShardRows | None:
        """Return None: samples are read one by one."""
        return None

    def read(self, index: int, parts: Sequence[str] | None = None) -> dict[str, bytes]:
        """Read the payload of a sample."""
        return {PAYLOAD: self.samples.read(index)}

    def check_shards(self) -> None:
        """Do nothing: reading a sample finds out whether its file is there."""
