"""`Rows`: the contract between a set of samples and the loader.

Implementations are `ShardRows` (samples in shards) and `ImagePairs` (single objects).
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import MissingColumn
from dataset_assets.records.staged import StagedDataset

if TYPE_CHECKING:
    from dataset_assets.loaders.samples.shard_rows import ShardRows

#: Name of the payload among the members of a sample.
PAYLOAD = "payload"


class Rows(Protocol):
    """Samples with random access, numbered from 0, in groups that are read together. Picklable."""

    url: str
    digest: str
    """Hex; equal for equal samples, wherever they are stored."""
    shard: NDArray[np.int32]
    """(samples,) number of the shard of each sample, ascending."""
    shard_bytes: tuple[int, ...]
    """Size of each shard; 0 where there is nothing to fetch ahead."""
    parts: tuple[str, ...]
    """Extensions that samples may have beside the payload."""
    dataset: StagedDataset | None
    """Description of the staged dataset; None if the set was not staged by this package."""

    def __len__(self) -> int:
        """Return the number of samples."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that `values` and `column` accept."""

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of the index for all samples, such as "width" or "label".

        Raises:
            MissingColumn: there is no such column.
        """

    def values(self, index: int, names: Sequence[str]) -> dict[str, Any]:
        """Return some columns of one sample."""

    def key(self, index: int) -> str:
        """Return the key of a sample."""

    def extension(self, index: int) -> str:
        """Return the extension of the payload of a sample, "" if unknown."""

    def describe(self, index: int) -> str:
        """Return key and location of a sample, for messages."""

    def in_shards(self) -> "ShardRows | None":
        """Return the samples as ranges of shard files; None: only `read` can read them."""

    def read(self, index: int, parts: Sequence[str] | None = None) -> dict[str, bytes]:
        """Read one sample from the store: `PAYLOAD`, and those of the named parts that it has.

        Raises:
            ShardCorrupt, ObjectMissing, StorageError: the shard cannot be read.
            SampleError: only this sample cannot be read.
        """

    def check_shards(self) -> None:
        """Check that all shards exist with the recorded size.

        Raises:
            ShardCorrupt: a shard is missing or has another size; the message names it.
        """


def check_columns(rows: Rows, names: Iterable[str]) -> None:
    """Check that the columns exist.

    Raises:
        MissingColumn: one does not.
    """
    missing = [name for name in names if name not in rows.columns]
    if missing:
        found = ", ".join(rows.columns) or "no columns at all"
        raise MissingColumn(f"{rows.url} has no column {missing[0]!r}: expected one of {found}")
