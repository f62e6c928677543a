"""A batch sampler for torch: slices of global batches, equal for any number of ranks and workers.

https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.BatchSampler
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch.utils.data import Sampler

from dataset_assets.loaders.options import LoaderOptions
from dataset_assets.loaders.order.epoch import EpochOrder, Indices


class SampleRequest(NamedTuple):
    """What the dataset is asked for: a sample, and its position, which decides its randomness."""

    epoch: int
    position: int  # in the epoch
    sample: int  # index among all samples of all sources


class GlobalBatchSampler(Sampler[list[SampleRequest]]):
    """The batches of one rank in epoch `epoch`, from batch `start` on.

    The last global batch may be short. If the ranks do not divide it, some of its samples are
    repeated or dropped, as `LoaderOptions.pad` says.
    """

    def __init__(self, order: EpochOrder, options: LoaderOptions) -> None:
        self.epoch = 0
        self.start = 0
        # read by trainers that inspect batch samplers
        self.batch_size = options.batch_size
        self.drop_last = options.drop_last
        self._order = order
        self._options = options
        self._cached: tuple[int, Indices] | None = None
        self._full, tail = divmod(order.samples, options.global_batch_size)
        self._tail = 0 if options.drop_last else tail
        world = options.world_size
        is_cut = options.pad == "drop"
        self._tail_of_rank = self._tail // world if is_cut else -(-self._tail // world)

    def __len__(self) -> int:
        """Return the batches of a whole epoch; equal on all ranks."""
        return self._full + (self._tail_of_rank > 0)

    @property
    def samples(self) -> int:
        """Samples of a whole epoch on this rank."""
        return self._full * self.batch_size + self._tail_of_rank

    @property
    def padded(self) -> int:
        """Samples of an epoch that are repeated on all ranks together; negative: dropped."""
        return self._tail_of_rank * self._options.world_size - self._tail

    def epoch_order(self) -> Indices:
        """Return the order of the epoch, computed once."""
        if self._cached is None or self._cached[0] != self.epoch:
            self._cached = self.epoch, self._order.epoch(self.epoch)
        return self._cached[1]

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        """Yield the batches from `start` on."""
        order = self.epoch_order()
        epoch = self.epoch
        for number in range(self.start, len(self)):
            size = self.batch_size if number < self._full else self._tail_of_rank
            first = number * self._options.global_batch_size + self._options.rank * size
            yield [
                SampleRequest(epoch, position, self._index(order, position))
                for position in range(first, first + size)
            ]

    def _index(self, order: Indices, position: int) -> int:
        if position < len(order):
            return int(order[position])
        tail = self._full * self._options.global_batch_size
        return int(order[tail + (position - tail) % self._tail])
