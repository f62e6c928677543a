"""Buckets of an S3 endpoint: list them, create one."""

from datetime import datetime
from typing import Any, NamedTuple

from dataset_assets.storage.s3.client import client
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets.storage.s3.errors import translate_s3_errors
from dataset_assets.storage.s3.first_answer import check_is_s3, send


class BucketInfo(NamedTuple):
    """One bucket."""

    name: str
    creation_date: datetime | None


def list_buckets(credentials: S3Credentials) -> list[BucketInfo]:
    """List the buckets that the credentials give access to.

    Raises:
        StorageError: the server cannot be reached, or refuses.
    """
    with translate_s3_errors(credentials.endpoint_url or "S3", credentials):
        answer = send(credentials, client(credentials).list_buckets)
    check_is_s3("list_buckets", answer, credentials.endpoint_url or "S3", credentials)
    buckets = answer.get("Buckets", [])
    return [BucketInfo(found["Name"], found.get("CreationDate")) for found in buckets]


def make_bucket(
    credentials: S3Credentials,
    name: str,
    *,
    region: str = "us-east-1",
    object_lock: bool = False,
) -> None:
    """Create a bucket unless it exists. Idempotent.

    Raises:
        StorageError: the server cannot be reached, or refuses.
    """
    if any(found.name == name for found in list_buckets(credentials)):
        return
    options: dict[str, Any] = {"ObjectLockEnabledForBucket": True} if object_lock else {}
    if region != "us-east-1":
        options["CreateBucketConfiguration"] = {"LocationConstraint": region}
    with translate_s3_errors(f"s3://{name}", credentials):
        client(credentials).create_bucket(Bucket=name, **options)
