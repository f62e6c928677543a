"""What an S3 server can do, found out once per process and bucket: servers that call themselves S3 differ, and some say nothing when they ignore a condition.

The probe is one object of two bytes in `_tmp/`, removed afterwards. It needs leave to write.
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
    """What one server does. Without `conditional_writes` there must be one writer only: of two in the same instant both believe to be first."""

    range_status: int  # 206, or 200 as with rclone
    conditional_writes: bool  # If-None-Match: * is kept
    verifies_checksums: bool  # a PUT whose CRC32 is wrong is refused


_found: dict[tuple[str | None, str], Capabilities] = {}


def capabilities(bucket: Bucket, prefix: str, where: str) -> Capabilities:
    """Return what the server of a bucket can do.

    Raises:
        StorageError: it can not be asked, or not be written to.
    """
    if bucket.endpoint not in _found:
        _found[bucket.endpoint] = _probe(
            bucket, f"{prefix}{TEMPORARY}/probe-{uuid4().hex}-{os.getpid()}", where
        )
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
        return "ChecksumCRC32" in arguments  # servers name this in several ways
    return False
