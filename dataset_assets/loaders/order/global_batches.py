"""Which samples make the batches of a rank: slices of global batches, so that ranks and workers change nothing about them.

A batch sampler of torch in the plainest sense: an iterable of lists, one entry per sample, that tells its length.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch.utils.data import Sampler

from dataset_assets.loaders.options import LoaderOptions
from dataset_assets.loaders.order.epoch import EpochOrder, Indices


class Ticket(NamedTuple):
    """What a worker is told of one sample."""

    epoch: int
    position: int  # in the epoch
    sample: int  # its index among all samples of all sources


class GlobalBatches(Sampler[list[Ticket]]):
    """The batches of one rank in one epoch, from batch `start` on.

    The last global batch may be short. Where the ranks do not divide it, samples of it are repeated or dropped as `LoaderOptions.pad` says.
    """

    def __init__(self, order: EpochOrder, options: LoaderOptions) -> None:
        self.epoch, self.start = 0, 0
        self.on_batch: Callable[[int], None] | None = (
            None  # called with the position that samples are asked for up to
        )
        self.batch_size, self.drop_last = (
            options.batch_size,
            options.drop_last,
        )  # for those who look at batch samplers
        self._order, self._options = order, options
        self._kept: tuple[int, Indices] | None = None
        self._full, tail = divmod(order.samples, options.global_batch_size)
        self._tail = 0 if options.drop_last else tail
        world = options.world_size
        self._tail_of_rank = (
            self._tail // world if options.pad == "drop" else -(-self._tail // world)
        )

    def __len__(self) -> int:
        """Return the batches of a whole epoch; equal on all ranks."""
        return self._full + (self._tail_of_rank > 0)

    @property
    def samples(self) -> int:
        """Samples of a whole epoch on this rank."""
        return self._full * self.batch_size + self._tail_of_rank

    @property
    def padded(self) -> int:
        """Samples that an epoch has twice, on all ranks together; below 0: that it lacks, for all ranks to have as many."""
        return self._tail_of_rank * self._options.world_size - self._tail

    def order(self) -> Indices:
        """Return the order of the epoch, computed once."""
        if self._kept is None or self._kept[0] != self.epoch:
            self._kept = self.epoch, self._order.epoch(self.epoch)
        return self._kept[1]

    def __iter__(self) -> Iterator[list[Ticket]]:
        """Yield the batches from `start` on."""
        order, epoch = self.order(), self.epoch
        for number in range(self.start, len(self)):
            size = self.batch_size if number < self._full else self._tail_of_rank
            first = number * self._options.global_batch_size
            mine = range(first + self._options.rank * size, first + (self._options.rank + 1) * size)
            if self.on_batch is not None:
                self.on_batch(first + self._options.global_batch_size)
            yield [Ticket(epoch, position, self._index(order, position)) for position in mine]

    def _index(self, order: Indices, position: int) -> int:
        if position < len(order):
            return int(order[position])
        tail = self._full * self._options.global_batch_size
        return int(order[tail + (position - tail) % self._tail])
