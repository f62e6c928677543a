"""Any S3 server, through boto3: AWS, Ceph, versitygw, Swift, rclone and others.

URLs are `s3://bucket/prefix`, or `s3://name@bucket/prefix` for a named store of the credentials
file that `DATASET_ASSETS_CREDENTIALS` names; without one, `storage.credentials` looks for
credentials. A bucket is never created. An object becomes visible as a whole, when its PUT or
multipart upload is complete; reads resume where a connection broke. `write_new` is as exact as the
server's If-None-Match (AWS: exact; Swift looks first); where there is none (probed once) it looks
first itself, and two writers in the same instant may both win. A store is a value: it holds
credentials and no client, and travels to other processes and Spark executors with them.
API: https://docs.aws.amazon.com/AmazonS3/latest/API/
"""

import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO
from uuid import uuid4

from dataset_assets.errors import ConfigurationError, NotWritable, ObjectMissing
from dataset_assets.storage.s3 import read as s3_read
from dataset_assets.storage.s3.client import KEYS_PER_DELETE, Bucket
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets.storage.s3.errors import Forbidden, Refused
from dataset_assets.storage.s3.probe import Capabilities, capabilities
from dataset_assets.storage.s3.upload import PART_BYTES, S3Upload, abort_older, put
from dataset_assets.storage.store import TEMPORARY, ObjectInfo, check_key
from dataset_assets.storage.store import Store as StoreProtocol

_URL = re.compile(
    r"(?:s3|s3a)://(?:(?P<store>[A-Za-z0-9_.-]+)@)?(?P<bucket>[A-Za-z0-9][A-Za-z0-9_.-]{1,254})"
    r"(?:/+(?P<prefix>.*))?",
    re.DOTALL,
)


class Store(StoreProtocol):
    """Objects below one prefix of a bucket."""

    def __init__(self, url: str, credentials: S3Credentials | None = None) -> None:
        found = _URL.fullmatch(url)
        if found is None:
            raise ConfigurationError(
                "expected a URL like s3://bucket/prefix, or s3://name@bucket/prefix with a name of "
                "the credentials file; got another form (do not put keys into a URL: set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
            )
        prefix = (found["prefix"] or "").rstrip("/")
        self._prefix = f"{check_key(prefix)}/" if prefix else ""
        self._bucket = Bucket(found["bucket"], credentials, found["store"])
        named = f"{found['store']}@" if found["store"] else ""
        self.url = f"s3://{named}{found['bucket']}/{prefix}".rstrip("/")

    def _path(self, key: str) -> str:
        return f"{self._prefix}{check_key(key)}"

    def locate(self, key: str) -> str:
        return f"{self.url}/{check_key(key)}"

    def child(self, prefix: str) -> "Store":
        child = Store(f"{self.url}/{check_key(prefix)}")
        child._bucket = self._bucket
        return child

    def capabilities(self) -> Capabilities:
        """Return what the server can do. Probed once per process; requires write permission."""
        return capabilities(self._bucket, self._prefix, self.url)

    def _stream(self, key: str) -> s3_read.ObjectStream:
        return s3_read.ObjectStream(self._bucket, self._path(key), self.locate(key))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return s3_read.read(lambda: self._stream(key), start, length)

    def open_read(self, key: str) -> BinaryIO:
        """Open an object for seekable reading; front to back is one GET.

        Raises:
            ObjectMissing: there is none.
        """
        return io.BufferedReader(s3_read.ObjectFile(self._stream(key)), s3_read.WINDOW_BYTES)

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known about an object; times have a resolution of one second.

        Raises:
            BucketMissing: there is no such bucket.
        """
        found: dict[str, Any] = {}
        with suppress(ObjectMissing):
            found = self._bucket.call("head_object", self.locate(key), Key=self._path(key))
        if not found:
            self._bucket.check_exists(self.url)
            return None
        return ObjectInfo(key, int(found["ContentLength"]), found["LastModified"].timestamp())

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        for item in self._items(f"{self._prefix}{prefix}", delimiter="" if recursive else "/"):
            key = item["Key"].removeprefix(self._prefix)
            is_folder = key.endswith("/")  # as some tools mark one
            if TEMPORARY not in key.split("/") and not is_folder:
                yield ObjectInfo(key, int(item["Size"]), item["LastModified"].timestamp())

    def _items(self, prefix: str, *, delimiter: str = "") -> Iterator[dict[str, Any]]:
        folders = {"Delimiter": delimiter} if delimiter else {}
        pages = self._bucket.list_pages("list_objects_v2", self.url, Prefix=prefix, **folders)
        for page in pages:
            yield from page.get("Contents", [])

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write an object at once; always as durable as the store is."""
        if len(data) <= PART_BYTES:
            put(self._bucket, "put_object", self.locate(key), data, Key=self._path(key))
        else:
            super().write(key, data, durable=durable)

    def write_new(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        if not self.capabilities().conditional_writes:
            return super().write_new(key, data)
        try:
            put(self._bucket, "put_object", self.locate(key), data, Key=path, IfNoneMatch="*")
        except Refused:
            return False
        return True

    def stage(self, key: str, *, sha256: bool = True) -> S3Upload:
        return S3Upload(self._bucket, key, self._path(key), self.locate(key), sha256=sha256)

    def delete(self, key: str) -> None:
        self._bucket.call("delete_object", self.locate(key), Key=self._path(key))

    def delete_tree(self, prefix: str) -> None:
        folder = f"{self._path(prefix.rstrip('/'))}/" if prefix else self._prefix
        abort_older(self._bucket, folder, self.url, None)
        self._delete([item["Key"] for item in self._items(folder)])
        if prefix:
            self.delete(prefix.rstrip("/"))

    def sweep(self, older_than_s: float) -> int:
        limit = time.time() - older_than_s
        left = [
            item["Key"]
            for item in self._items(f"{self._prefix}{TEMPORARY}/")
            if item["LastModified"].timestamp() < limit
        ]
        self._delete(left)
        return len(left) + abort_older(self._bucket, self._prefix, self.url, limit)

    def _delete(self, paths: Sequence[str]) -> None:
        for first in range(0, len(paths), KEYS_PER_DELETE):
            self._bucket.delete(paths[first : first + KEYS_PER_DELETE], self.url)

    def check_writable(self) -> None:
        """Prove that writes work, before any work is done.

        Raises:
            BucketMissing: there is no such bucket.
            CredentialsRefused: the server does not know the credentials.
            NotWritable: the server knows the credentials, and they do not permit writing.
        """
        probe = f"{self._prefix}{TEMPORARY}/probe-{uuid4().hex}"
        try:
            self._bucket.call("put_object", self.url, Key=probe, Body=b"")
            self._bucket.call("delete_object", self.url, Key=probe)
        except Forbidden as exc:
            raise NotWritable(f"cannot write to the bucket {self._bucket.name!r}: {exc}") from None
