"""Batches of workers where there is little shared memory, as in containers (64 MB in /dev/shm).

torch hands tensors from a worker to the main process through shared memory. Where there is no room
for one it fails, in the middle of an epoch or in a thread that nobody waits for. Workers of ours
send such a tensor through their pipe instead, which takes two more copies.
"""

import logging
import os
from collections.abc import Callable
from functools import cache
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch.multiprocessing.reductions import reduce_storage

logger = logging.getLogger(__name__)

_FOLDER = "/dev/shm"  # noqa: S108 - where Linux has it
#: What torch says of a failed allocation, with the number of the error at its end.
_FAILED = ("shared memory", "(28)")


def allow_copies() -> None:
    """Let this worker process send tensors through its pipe when shared memory is full."""
    ForkingPickler.register(torch.UntypedStorage, _reduce)
    # `default_collate` stacks a batch into shared memory.
    torch.UntypedStorage._new_shared = _new_shared  # type: ignore[method-assign]


_torch_new_shared: Callable[..., torch.UntypedStorage] = torch.UntypedStorage._new_shared
_torch_reduce: Callable[[torch.UntypedStorage], Any] = reduce_storage
_new_storage: Callable[..., torch.UntypedStorage] = torch.UntypedStorage


def _new_shared(size: int, *, device: Any = "cpu") -> torch.UntypedStorage:
    """Return memory for a batch, shared if there is room."""
    try:
        return _torch_new_shared(size, device=device)
    except RuntimeError as exc:
        _check_full(exc)
        return _new_storage(size, device=device)


def _reduce(storage: torch.UntypedStorage) -> Any:
    """Return how to rebuild a storage in the main process."""
    try:
        return _torch_reduce(storage)
    except RuntimeError as exc:
        _check_full(exc)
        size = storage.nbytes()
        data = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (size,), (1,))
        return _rebuild, (bytearray(data.numpy().data),)


def _rebuild(data: bytearray) -> torch.UntypedStorage:
    return torch.frombuffer(data, dtype=torch.uint8).untyped_storage()


def _check_full(error: RuntimeError) -> None:
    """Raise an error again unless shared memory is full."""
    if not all(text in str(error) for text in _FAILED):
        raise error
    _warn()


@cache
def _warn() -> None:
    """Say once in each worker that there is too little."""
    logger.warning(
        "expected room for a batch in shared memory, got none in %s (%s MB); batches are copied "
        "through a pipe, which takes longer: start the container with more "
        "(docker run --shm-size=8g), or set num_workers or prefetch_batches lower",
        _FOLDER,
        _megabytes(),
    )


def _megabytes() -> str:
    try:
        found = os.statvfs(_FOLDER)
    except OSError:
        return "?"
    return str(found.f_frsize * found.f_blocks >> 20)
