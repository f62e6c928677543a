"""Finds out what an S3 server can do, once per process and bucket.

Servers that call themselves S3 differ, and some silently ignore a condition. The probe is one
object of two bytes in `_tmp/`, removed afterwards. It requires write permission.
"""

import os
from dataclasses import dataclass
from uuid import uuid4

from dataset_assets.errors import StorageError
from dataset_assets.storage.s3.client import Bucket
from dataset_assets.storage.s3.errors import NotSupported, Refused
from dataset_assets.storage.store import TEMPORARY

_WRONG_CRC32 = "AAAAAA=="


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one server can do."""

    range_status: int
    """Status of the answer to a range request: 206, or 200 as with rclone."""
    conditional_writes: bool
    """If-None-Match: * is honored. Without it, two writers in the same instant may both win."""
    verifies_checksums: bool
    """A PUT with a wrong CRC32 is refused."""


_found: dict[tuple[str | None, str], Capabilities] = {}


def capabilities(bucket: Bucket, prefix: str, where: str) -> Capabilities:
    """Return what the server of a bucket can do.

    Raises:
        StorageError: the server cannot be reached, or the bucket cannot be written to.
    """
    if bucket.endpoint not in _found:
        key = f"{prefix}{TEMPORARY}/probe-{uuid4().hex}-{os.getpid()}"
        _found[bucket.endpoint] = _probe(bucket, key, where)
    return _found[bucket.endpoint]


def _probe(bucket: Bucket, key: str, where: str) -> Capabilities:
    bucket.call("put_object", where, Key=key, Body=b"ab")
    try:
        answer = bucket.call("get_object", where, Key=key, Range="bytes=1-1")
        answer["Body"].close()
        return Capabilities(
            range_status=answer["ResponseMetadata"]["HTTPStatusCode"],
            conditional_writes=_refuses(bucket, where, Key=key, IfNoneMatch="*"),
            verifies_checksums=_refuses(bucket, where, Key=key, ChecksumCRC32=_WRONG_CRC32),
        )
    finally:
        bucket.call("delete_object", where, Key=key)


def _refuses(bucket: Bucket, where: str, **arguments: str) -> bool:
    try:
        bucket.call("put_object", where, Body=b"cd", **arguments)
    except NotSupported:
        return False
    except Refused:
        return True
    except StorageError:
        return "ChecksumCRC32" in arguments  # servers have several codes for this
    return False
