"""Permutations that depend on (count, seed, epoch) only, so that any process can repeat them."""

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError

_LIMIT = 1 << 64
_MAX_COUNT = 1 << 32


def permutation(count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the numbers below `count` in a random order.

    The order is that of random numbers from a Philox generator, whose stream never changes. NumPy
    does not promise that for `permutation` and `shuffle`, so a run could not resume after an
    upgrade.

    Raises:
        ConfigurationError: a number is negative or too large.
    """
    limits = {"count": (count, _MAX_COUNT), "seed": (seed, _LIMIT), "epoch": (epoch, _LIMIT)}
    for name, (value, limit) in limits.items():
        if not 0 <= value < limit:
            raise ConfigurationError(
                f"{name}: expected an integer from 0 to {limit - 1}, got {value}"
            )
    random = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(count)
    # the low bits of each random number hold the number of its sample: sorting values is three
    # times faster than argsort, and there are no ties
    low = np.uint64((1 << count.bit_length()) - 1)
    random &= ~low
    random |= np.arange(count, dtype=np.uint64)
    random.sort()
    random &= low
    return random.view(np.int64)
