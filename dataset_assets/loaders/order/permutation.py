"""Orders of samples. An order is a function of (how many, seed, epoch) and of nothing else, so that any loader, rank or machine can compute it again."""

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError

_LIMIT = 1 << 64
_MAX_COUNT = 1 << 32


def permutation(count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the numbers below `count`, each once, shuffled.

    The order is that of random numbers from a Philox generator, whose stream never changes; NumPy does not promise that of `permutation` and `shuffle`.
    So a run that is resumed after an upgrade goes on where it was.

    Raises:
        ConfigurationError: a negative or huge number.
    """
    for name, value, limit in (
        ("count", count, _MAX_COUNT),
        ("seed", seed, _LIMIT),
        ("epoch", epoch, _LIMIT),
    ):
        if not 0 <= value < limit:
            raise ConfigurationError(
                f"{name}: expected a whole number from 0 to {limit - 1}, came {value}"
            )
    random = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(count)
    # the number of a sample stands in the low bits of its random number: sorting values is three times faster than argsort, and there are no ties
    low = np.uint64((1 << count.bit_length()) - 1)
    random &= ~low
    random |= np.arange(count, dtype=np.uint64)
    random.sort()
    random &= low
    return random.view(np.int64)
