"""Random choices that are a function of (seed, epoch, key), so that they survive any resume.

They depend on no order, worker, rank or library version.
"""

import hashlib


def draw(purpose: str, key: str, *, seed: int, epoch: int) -> float:
    """Return a number from [0, 1) for one choice about a sample.

    Args:
        purpose: name of the choice; each has numbers of its own.
        key: key of the sample.
        seed: seed of the run.
        epoch: the epoch.
    """
    text = f"{purpose}\0{seed}\0{epoch}\0{key}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return float((int.from_bytes(digest, "big") >> 11) * 2.0**-53)
