"""How errors of the library end a step: as one clear line, and tried again only where that can help."""

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
_LASTING = (
    AccessDenied | BucketMissing | CredentialsRefused | DiskFull | NotWritable | ObjectMissing
)


@contextmanager
def as_failure() -> Iterator[None]:
    """Turn an error of the library into a `Failure`. A wrong configuration, a refused token or a full disk does not go away by trying again."""
    try:
        yield
    except DatasetAssetsError as exc:
        helps = isinstance(exc, StorageError | ShardIncomplete) and not isinstance(exc, _LASTING)
        raise failure(str(exc), allow_retries=helps) from None


def failure(message: str, *, allow_retries: bool = True) -> dg.Failure:
    """Build the end of a step: one line of plain text, without secrets of urls."""
    return dg.Failure(plain_text(message, MAX_MESSAGE), allow_retries=allow_retries)
