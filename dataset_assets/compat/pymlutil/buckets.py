"""pymlutil's `s3store` and `Connect`, which torchdatasetutil's users call: the same names, arguments and results, on our S3 client.

What differs, on purpose: a failure raises, it is never a printed line and `False`; transfers run 16 at a time, and each one is checked (bytes, and the
ETag where it is an md5); files without a dot in their name are files; a set `data/coco` is the folder `data/coco/`, not `data/coco_test/` too; a missing
bucket is an error that names it, only `MakeBucket` makes one. `True` is returned where pymlutil did, so that `if not s3.PutDir(...)` goes on working.
Source: https://github.com/bhlarson/pymlutil/blob/main/pymlutil/s3.py
"""
# ruff: noqa: N801, N802, N803 - the names are those of pymlutil

import io
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import yaml

from dataset_assets.compat.pymlutil._transfer import (
    MAX_COPY_BYTES,
    Entry,
    copy,
    copy_within,
    download,
    files_of,
    listed,
    remove,
    upload,
)
from dataset_assets.errors import ConfigurationError, ObjectMissing, SourceError
from dataset_assets.storage.credentials_file import endpoint_url, read_credentials_file
from dataset_assets.storage.s3.buckets import BucketInfo, list_buckets, make_bucket
from dataset_assets.storage.s3.client import Bucket, client
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets.storage.stores.s3 import Store

THREADS = 16
_READERS: dict[str, Callable[[bytes], Any]] = {
    ".json": json.loads,
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
}
T = TypeVar("T")
R = TypeVar("R")


class s3store:
    """The buckets of one endpoint. Picklable; its `repr` has no secret."""

    def __init__(
        self,
        address: str,
        access_key: str | None,
        secret_key: str | None,
        tls: bool = False,
        cert_verify: bool = True,
        cert_path: str | None = None,
        timeout: float = 25.0,
    ) -> None:
        """`timeout` is pymlutil's; requests have the limits of `_s3_client` and are retried."""
        verify: bool | str = (cert_path or True) if cert_verify else False
        url = endpoint_url(address, tls=tls or None)
        self.credentials = S3Credentials(
            source=f"s3store({url})",
            endpoint_url=url,
            access_key=access_key,
            secret_key=secret_key,
            verify=verify,
        )

    @classmethod
    def of(cls, credentials: S3Credentials) -> "s3store":
        """Return the buckets that credentials give access to."""
        made = cls.__new__(cls)
        made.credentials = credentials
        return made

    def __repr__(self) -> str:
        return f"s3store({self.credentials!r})"

    def store(self, bucket: str, prefix: str = "") -> Store:
        """Return a folder of a bucket as a store of this package."""
        return Store("/".join(("s3:/", bucket, *filter(None, prefix.split("/")))), self.credentials)

    def GetUrl(self, bucket: str, path: str, expires: timedelta = timedelta(hours=2)) -> str:
        """Return a url that anybody may read the object with until it expires. It is a secret."""
        wanted = {"Bucket": bucket, "Key": path}
        url: str = client(self.credentials).generate_presigned_url(
            "get_object", wanted, ExpiresIn=int(expires.total_seconds())
        )
        return url

    def ListBuckets(self) -> list[BucketInfo]:
        """List the buckets."""
        return list_buckets(self.credentials)

    def MakeBucket(
        self, bucket: str, location: str = "us-east-1", object_lock: bool = False
    ) -> None:
        """Create a bucket, if there is none. Idempotent."""
        make_bucket(self.credentials, bucket, region=location, object_lock=object_lock)

    def PutFile(self, bucket: str, file: str | Path, setname: str) -> bool:
        """Upload a file into a set, under its own name.

        Raises:
            SourceError: there is no such file.
            StorageError: the bucket does not take it.
        """
        path = Path(file)
        if not path.is_file():
            raise SourceError(f"expected a file to upload; there is no {path}")
        upload(path, self.store(bucket), _key(setname, path.name))
        return True

    def PutDir(self, bucket: str, path: str | Path, setname: str) -> bool:
        """Upload every file below a folder. Idempotent.

        Raises:
            SourceError: there is no such folder, or something in it is no file.
            StorageError: the bucket does not take a file; those before it are there.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise SourceError(f"expected a folder to upload; there is no {folder}")
        store = self.store(bucket)
        _concurrently(lambda item: upload(item[1], store, _key(setname, item[0])), files_of(folder))
        return True

    def GetDir(self, bucket: str, setname: str, destdir: str | Path) -> int:
        """Download a set into a folder; return the number of files, 0 when the set is empty.

        Raises:
            StorageError: an object can not be read, or differs from its ETag, or has a name that would leave the folder.
        """
        store, folder = self.store(bucket), Path(destdir)
        found = self._objects(bucket, setname)
        _concurrently(
            lambda entry: download(store, entry, folder, _below(setname, entry.key)), found
        )
        return len(found)

    def GetFile(self, bucket: str, object_name: str, destination: str | Path) -> bool:
        """Download an object to a file.

        Raises:
            ObjectMissing: there is none.
        """
        found, path = self._named(bucket, object_name), Path(destination)
        if not found:
            raise ObjectMissing(f"no such object: s3://{bucket}/{object_name}")
        download(self.store(bucket), found[0], path.parent, path.name)
        return True

    def ListObjects(
        self,
        bucket: str,
        setname: str | None = None,
        pattern: str | None = "**",
        recursive: bool = False,
    ) -> list[str]:
        """List the names that begin with `setname` and match the pattern; not recursive: folders, with a `/` behind, instead of what is in them."""
        found = listed(self._bucket(bucket), setname or "", delimiter="" if recursive else "/")
        return [entry.key for entry in found if _matches(entry.key, pattern)]

    def GetObjects(self, bucket: str, objectNames: Iterable[str]) -> list[bytes]:
        """Read objects, in the order of their names.

        Raises:
            ObjectMissing: there is none of a name.
        """
        store = self.store(bucket)
        return _concurrently(store.read, list(objectNames))

    def GetObject(self, bucket: str, object_name: str) -> bytes:
        """Read an object.

        Raises:
            ObjectMissing: there is none.
        """
        return self.store(bucket).read(object_name)

    def PutObject(self, bucket: str, object_name: str, obj: bytes | io.BytesIO) -> bool:
        """Write an object."""
        self.store(bucket).write(
            object_name, obj.getvalue() if isinstance(obj, io.BytesIO) else bytes(obj)
        )
        return True

    def GetDict(self, bucket: str, object_name: str) -> Any:
        """Read a json or yaml object.

        Raises:
            ObjectMissing: there is none.
            SourceError: it is not what its name says.
        """
        read, where = _READERS[_suffix(object_name)], f"s3://{bucket}/{object_name}"
        try:
            return read(self.GetObject(bucket, object_name))
        except (ValueError, yaml.YAMLError) as exc:
            raise SourceError(
                f"{where}: expected {_suffix(object_name)[1:]}; {' '.join(str(exc).split())}"
            ) from exc

    def PutDict(self, bucket: str, object_name: str, dict_data: Any) -> bool:
        """Write a json or yaml object, as its name says."""
        text = (
            json.dumps(dict_data, indent=4)
            if _suffix(object_name) == ".json"
            else yaml.safe_dump(dict_data, sort_keys=False)
        )
        return self.PutObject(bucket, object_name, text.encode())

    def CloneObjects(
        self, destbucket: str, destsetname: str, srcS3: "s3store", srcbucket: str, srcsetname: str
    ) -> bool:
        """Copy a set to another bucket, of this or another endpoint; on the same endpoint by the server itself.

        Raises:
            ObjectMissing: the set is empty.
        """
        found = srcS3._objects(srcbucket, srcsetname)
        if not found:
            raise ObjectMissing(
                f"expected objects below s3://{srcbucket}/{srcsetname}; there are none"
            )
        source, destination = srcS3.store(srcbucket), self.store(destbucket)
        is_one_server = replace(srcS3.credentials, source="") == replace(
            self.credentials, source=""
        )

        def clone(entry: Entry) -> None:
            key = _key(destsetname, _below(srcsetname, entry.key))
            if is_one_server and entry.bytes <= MAX_COPY_BYTES:
                copy_within(srcS3._bucket(srcbucket), entry, self._bucket(destbucket), key)
            else:
                copy(source, entry, destination, key)

        _concurrently(clone, found)
        return True

    def RemoveObjects(
        self,
        bucket: str,
        setname: str | None = None,
        pattern: str | None = "**",
        recursive: bool = False,
    ) -> bool:
        """Delete the objects of a set, or the one object of that name, that match the pattern; not recursive: only those directly in the set.

        Raises:
            StorageError: the bucket does not delete one.
        """
        entries = [
            *self._named(bucket, setname or ""),
            *self._set(bucket, setname or "", recursive=recursive),
        ]
        found = [entry.key for entry in entries if _matches(entry.key, pattern)]
        wanted = self._bucket(bucket)
        batches = [found[start : start + 1000] for start in range(0, len(found), 1000)]
        _concurrently(lambda keys: remove(wanted, keys), batches)
        return True

    def _bucket(self, name: str) -> Bucket:
        return Bucket(name, self.credentials)

    def _set(self, bucket: str, setname: str, *, recursive: bool = True) -> list[Entry]:
        found = listed(self._bucket(bucket), _key(setname, ""), delimiter="" if recursive else "/")
        return [entry for entry in found if not entry.is_folder]

    def _objects(self, bucket: str, setname: str) -> list[Entry]:
        """List a set without the empty objects by which some tools mark folders."""
        return [
            entry
            for entry in self._set(bucket, setname)
            if entry.bytes or not entry.key.endswith("/")
        ]

    def _named(self, bucket: str, key: str) -> list[Entry]:
        found = listed(self._bucket(bucket), key, delimiter="/") if key else []
        return [entry for entry in found if entry.key == key and not entry.is_folder]


def Connect(
    credentials_filename: str | Path = "creds.yaml", s3_name: str = "store"
) -> tuple[s3store, dict[str, Any], dict[str, Any]]:
    """Open a store of a credentials file; return it, what the file says and what its entry says, both without secrets.

    Raises:
        ConfigurationError: the file can not be read, or has no such store.
    """
    file = read_credentials_file(credentials_filename)
    named = file.named(s3_name)
    return s3store.of(named.credentials), dict(file.shown), dict(named.shown)


def _concurrently(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return the results in the order of the items. The first failure is raised, and what has not begun does not begin."""
    with ThreadPoolExecutor(
        min(THREADS, max(len(items), 1)), thread_name_prefix="s3store"
    ) as executor:
        return list(executor.map(work, items))


def _key(setname: str, name: str) -> str:
    folder = setname.strip("/")
    return f"{folder}/{name}" if folder else name


def _below(setname: str, key: str) -> str:
    return key.removeprefix(_key(setname, ""))


def _matches(key: str, pattern: str | None) -> bool:
    return not pattern or pattern == "**" or PurePosixPath(key).match(pattern)


def _suffix(object_name: str) -> str:
    suffix = PurePosixPath(object_name).suffix.lower()
    if suffix not in _READERS:
        raise ConfigurationError(
            f"expected a name that ends in {', '.join(_READERS)}; got {object_name!r}"
        )
    return suffix
