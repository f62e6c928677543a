"""Turns errors of the library into step failures: one line of text, retried only if that helps."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from dataset_assets.errors import (
    AccessDenied,
    BucketMissing,
    CredentialsRefused,
    DatasetAssetsError,
    DiskFull,
    NotWritable,
    ObjectMissing,
    ShardIncomplete,
    StorageError,
)
from dataset_assets.orchestration.common.metadata import plain_text

MAX_MESSAGE = 2000
_PERMANENT = (
    AccessDenied | BucketMissing | CredentialsRefused | DiskFull | NotWritable | ObjectMissing
)


@contextmanager
def as_failure() -> Iterator[None]:
    """Raise errors of the library as a `Failure`.

    Only storage errors and incomplete shards are retried, and not those that a retry cannot fix,
    such as a rejected token or a full disk.
    """
    try:
        yield
    except DatasetAssetsError as exc:
        is_transient = isinstance(exc, StorageError | ShardIncomplete)
        allow_retries = is_transient and not isinstance(exc, _PERMANENT)
        raise failure(str(exc), allow_retries=allow_retries) from None


def failure(message: str, *, allow_retries: bool = True) -> dg.Failure:
    """Build a step failure: one line of plain text, without secrets from URLs."""
    return dg.Failure(plain_text(message, MAX_MESSAGE), allow_retries=allow_retries)
