"""A batch sampler for torch: slices of global batches, equal for any number of ranks and workers.

https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.BatchSampler
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch.utils.data import Sampler

from dataset_assets.loaders.options import LoaderOptions
from dataset_assets.loaders.order.epoch import EpochOrder, Indices
from dataset_assets.loaders.order.grouping import BatchSizes, divide, divide_by_group


class SampleRequest(NamedTuple):
    """What the dataset is asked for: a sample, and its position, which decides its randomness."""

    epoch: int
    position: int  # in the epoch
    sample: int  # index among all samples of all sources


class GlobalBatchSampler(Sampler[list[SampleRequest]]):
    """The batches of one rank in epoch `epoch`, from batch `start` on.

    A partial batch is short. If the ranks do not divide it, some of its samples are repeated or
    dropped, as `LoaderOptions.pad` says.
    """

    def __init__(self, order: EpochOrder, options: LoaderOptions) -> None:
        self.epoch = 0
        self.start = 0
        # read by trainers that inspect batch samplers
        self.batch_size = options.batch_size
        self.drop_last = options.drop_last
        self._order = order
        self._options = options
        self._groups = order.groups
        self._mixed = divide(order.samples, options) if order.groups is None else None
        self._cached: tuple[int, Indices, BatchSizes] | None = None

    def __len__(self) -> int:
        """Return the batches of the whole epoch; equal on all ranks."""
        return self.count(self.epoch)

    def count(self, epoch: int) -> int:
        """Return the batches of an epoch."""
        return len(self.sizes(epoch))

    def sizes(self, epoch: int) -> BatchSizes:
        """Return the batches of an epoch; they differ between epochs only if there are groups."""
        return self._divided(epoch)[1] if self._mixed is None else self._mixed

    def epoch_order(self) -> Indices:
        """Return the samples of the epoch, batch after batch; computed once."""
        return self._divided(self.epoch)[0]

    def position(self, batch: int) -> int:
        """Return the position in the epoch of the first sample of a batch, or the end."""
        starts = self.sizes(self.epoch).starts
        return int(starts[min(batch, len(starts) - 1)])

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        """Yield the batches from `start` on."""
        epoch = self.epoch
        order, sizes = self._divided(epoch)
        starts = sizes.starts.tolist()
        for number in range(self.start, len(sizes)):
            size = int(sizes.of_rank[number])
            start = starts[number]
            count = starts[number + 1] - start
            first = start + self._options.rank * size
            yield [
                SampleRequest(epoch, position, int(order[start + (position - start) % count]))
                for position in range(first, first + size)
            ]

    def _divided(self, epoch: int) -> tuple[Indices, BatchSizes]:
        if self._cached is None or self._cached[0] != epoch:
            order = self._order.epoch(epoch)
            if self._groups is None:
                self._cached = epoch, order, divide(len(order), self._options)
            else:
                self._cached = epoch, *divide_by_group(order, self._groups, self._options)
        return self._cached[1:]
