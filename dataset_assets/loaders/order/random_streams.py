"""Random numbers that depend on (seed, epoch, purpose) only, so that any process can repeat them.

Orders are made of raw numbers of Philox, whose stream never changes. NumPy does not promise that of
its shuffles, so a run could not resume after an upgrade.
"""

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError

# Purposes of random numbers, as the highest word of Philox's counter: no two share any.
_PERMUTATION, SHARDS, SAMPLES, DRAWS, MIX, _SAMPLE, _BATCH = range(7)

_LIMIT = 1 << 64
_MAX_COUNT = 1 << 32


def philox(seed: int, epoch: int, purpose: int, number: int = 0) -> np.random.Philox:
    """Return the bit generator for one purpose."""
    return np.random.Philox(
        key=np.array([seed, epoch], np.uint64), counter=np.array([0, 0, number, purpose], np.uint64)
    )


def sample_random(seed: int, epoch: int, position: int) -> np.random.Generator:
    """Return the random generator of the sample at a position of an epoch.

    A sample that occurs twice has two of them.
    """
    return np.random.Generator(philox(seed, epoch, _SAMPLE, position))


def batch_random(seed: int, epoch: int, position: int) -> np.random.Generator:
    """Return the random generator of the batch whose first sample is at a position of an epoch."""
    return np.random.Generator(philox(seed, epoch, _BATCH, position))


def permutation(count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the numbers below `count` in a random order.

    Raises:
        ConfigurationError: a number is negative or too large.
    """
    limits = {"count": (count, _MAX_COUNT), "seed": (seed, _LIMIT), "epoch": (epoch, _LIMIT)}
    for name, (value, limit) in limits.items():
        if not 0 <= value < limit:
            raise ConfigurationError(
                f"{name}: expected an integer from 0 to {limit - 1}, got {value}"
            )
    random = philox(seed, epoch, _PERMUTATION).random_raw(count)
    # the low bits of each random number hold the number of its sample: sorting values is three
    # times faster than argsort, and there are no ties
    low = np.uint64((1 << count.bit_length()) - 1)
    random &= ~low
    random |= np.arange(count, dtype=np.uint64)
    random.sort()
    random &= low
    return random.view(np.int64)
