"""pymlutil's `s3store` and `Connect`: the same names, arguments and results, on our S3 client.

It differs on purpose: a failure raises, instead of a printed line and `False`; 16 transfers run at
a time, and each one is checked (bytes, and the ETag where it is an MD5); files without a dot in
their name are files; a set `data/coco` is the folder `data/coco/`, not also `data/coco_test/`; a
missing bucket is an error that names it, and only `MakeBucket` creates one. `True` is returned
where pymlutil does, so that `if not s3.PutDir(...)` still works.
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
    list_entries,
    list_files,
    upload,
)
from dataset_assets.errors import ConfigurationError, ObjectMissing, SourceError
from dataset_assets.storage.credentials_file import endpoint_url, read_credentials_file
from dataset_assets.storage.s3.buckets import BucketInfo, list_buckets, make_bucket
from dataset_assets.storage.s3.client import KEYS_PER_DELETE, Bucket, client
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
    """The buckets of one endpoint. Picklable; its `repr` has no secret.

    Example:
        >>> from dataset_assets import Connect
        >>> s3, _, _ = Connect("creds.yaml")
        >>> s3.PutDir("imgml", "lists", "copies/lists")
        True
        >>> s3.ListObjects("imgml", "copies/lists/")
        ['copies/lists/urls.parquet']
    """

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
        """Take pymlutil's arguments.

        Args:
            address: host:port, or a URL.
            access_key: None lets boto3 look for keys.
            secret_key: None lets boto3 look for keys.
            tls: https instead of http, where the address does not say.
            cert_verify: check certificates.
            cert_path: a file of trusted certificates.
            timeout: ignored; requests have the limits of `storage.s3.client` and are retried.
        """
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
    def from_credentials(cls, credentials: S3Credentials) -> "s3store":
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
        """Return a URL with which anyone can read the object until it expires. It is a secret."""
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
        """Create a bucket unless it exists. Idempotent."""
        make_bucket(self.credentials, bucket, region=location, object_lock=object_lock)

    def PutFile(self, bucket: str, file: str | Path, setname: str) -> bool:
        """Upload a file into a set, under its own name.

        Raises:
            SourceError: there is no such file.
            StorageError: the bucket refuses it.
        """
        path = Path(file)
        if not path.is_file():
            raise SourceError(f"expected a file to upload; there is no {path}")
        upload(path, self.store(bucket), _key(setname, path.name))
        return True

    def PutDir(self, bucket: str, path: str | Path, setname: str) -> bool:
        """Upload every file below a folder. Idempotent.

        Raises:
            SourceError: there is no such folder, or an entry of it is no file.
            StorageError: the bucket refuses a file; those before it are uploaded.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise SourceError(f"expected a folder to upload; there is no {folder}")
        store = self.store(bucket)
        _run_all(lambda item: upload(item[1], store, _key(setname, item[0])), list_files(folder))
        return True

    def GetDir(self, bucket: str, setname: str, destdir: str | Path) -> int:
        """Download a set into a folder; return the number of files, 0 when the set is empty.

        Raises:
            StorageError: an object cannot be read, differs from its ETag, or has a name that would
                leave the folder.
        """
        store = self.store(bucket)
        folder = Path(destdir)
        found = self._objects(bucket, setname)
        _run_all(lambda entry: download(store, entry, folder, _below(setname, entry.key)), found)
        return len(found)

    def GetFile(self, bucket: str, object_name: str, destination: str | Path) -> bool:
        """Download an object to a file.

        Raises:
            ObjectMissing: there is none.
        """
        found = self._named(bucket, object_name)
        path = Path(destination)
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
        """List the names that begin with `setname` and match the pattern.

        Not recursive: folders, with a `/` at their end, instead of their content.
        """
        found = list_entries(
            self._bucket(bucket), setname or "", delimiter="" if recursive else "/"
        )
        return [entry.key for entry in found if _matches(entry.key, pattern)]

    def GetObjects(self, bucket: str, objectNames: Iterable[str]) -> list[bytes]:
        """Read objects, in the order of their names.

        Raises:
            ObjectMissing: one of them does not exist.
        """
        store = self.store(bucket)
        return _run_all(store.read, list(objectNames))

    def GetObject(self, bucket: str, object_name: str) -> bytes:
        """Read an object.

        Raises:
            ObjectMissing: there is none.
        """
        return self.store(bucket).read(object_name)

    def PutObject(self, bucket: str, object_name: str, obj: bytes | io.BytesIO) -> bool:
        """Write an object."""
        data = obj.getvalue() if isinstance(obj, io.BytesIO) else bytes(obj)
        self.store(bucket).write(object_name, data)
        return True

    def GetDict(self, bucket: str, object_name: str) -> Any:
        """Read a json or yaml object.

        Raises:
            ObjectMissing: there is none.
            SourceError: it is not in the format of its name.
        """
        suffix = _suffix(object_name)
        try:
            return _READERS[suffix](self.GetObject(bucket, object_name))
        except (ValueError, yaml.YAMLError) as exc:
            problem = " ".join(str(exc).split())
            raise SourceError(
                f"s3://{bucket}/{object_name}: expected {suffix[1:]}; {problem}"
            ) from exc

    def PutDict(self, bucket: str, object_name: str, dict_data: Any) -> bool:
        """Write a json or yaml object; the format follows from the name."""
        if _suffix(object_name) == ".json":
            text = json.dumps(dict_data, indent=4)
        else:
            text = yaml.safe_dump(dict_data, sort_keys=False)
        return self.PutObject(bucket, object_name, text.encode())

    def CloneObjects(
        self, destbucket: str, destsetname: str, srcS3: "s3store", srcbucket: str, srcsetname: str
    ) -> bool:
        """Copy a set to another bucket; on the same endpoint, the server copies it.

        Raises:
            ObjectMissing: the set is empty.
        """
        found = srcS3._objects(srcbucket, srcsetname)
        if not found:
            raise ObjectMissing(
                f"expected objects below s3://{srcbucket}/{srcsetname}; there are none"
            )
        source = srcS3.store(srcbucket)
        destination = self.store(destbucket)
        ours = replace(self.credentials, source="")
        is_one_server = ours == replace(srcS3.credentials, source="")

        def clone(entry: Entry) -> None:
            key = _key(destsetname, _below(srcsetname, entry.key))
            if is_one_server and entry.bytes <= MAX_COPY_BYTES:
                copy_within(srcS3._bucket(srcbucket), entry, self._bucket(destbucket), key)
            else:
                copy(source, entry, destination, key)

        _run_all(clone, found)
        return True

    def RemoveObjects(
        self,
        bucket: str,
        setname: str | None = None,
        pattern: str | None = "**",
        recursive: bool = False,
    ) -> bool:
        """Delete the objects that match the pattern: of a set, or the one object of that name.

        Not recursive: only those directly in the set.

        Raises:
            StorageError: the bucket refuses to delete one.
        """
        entries = [
            *self._named(bucket, setname or ""),
            *self._set(bucket, setname or "", recursive=recursive),
        ]
        found = [entry.key for entry in entries if _matches(entry.key, pattern)]
        wanted = self._bucket(bucket)
        starts = range(0, len(found), KEYS_PER_DELETE)
        batches = [found[start : start + KEYS_PER_DELETE] for start in starts]
        _run_all(lambda keys: wanted.delete(keys, f"s3://{bucket}"), batches)
        return True

    def _bucket(self, name: str) -> Bucket:
        return Bucket(name, self.credentials)

    def _set(self, bucket: str, setname: str, *, recursive: bool = True) -> list[Entry]:
        found = list_entries(
            self._bucket(bucket), _key(setname, ""), delimiter="" if recursive else "/"
        )
        return [entry for entry in found if not entry.is_folder]

    def _objects(self, bucket: str, setname: str) -> list[Entry]:
        """List a set without the empty objects with which some tools mark folders."""
        return [
            entry
            for entry in self._set(bucket, setname)
            if entry.bytes or not entry.key.endswith("/")
        ]

    def _named(self, bucket: str, key: str) -> list[Entry]:
        found = list_entries(self._bucket(bucket), key, delimiter="/") if key else []
        return [entry for entry in found if entry.key == key and not entry.is_folder]


def Connect(
    credentials_filename: str | Path = "creds.yaml", s3_name: str = "store"
) -> tuple[s3store, dict[str, Any], dict[str, Any]]:
    """Open a store of a credentials file.

    Args:
        credentials_filename: a file with the keys of torchdatasetutil's README.
        s3_name: the name of the store in it.

    Returns:
        The store, the content of the file, and its entry in it; both without secrets.

    Raises:
        ConfigurationError: the file cannot be read, or has no such store.

    Example:
        >>> from dataset_assets import Connect
        >>> s3, creds, entry = Connect("creds.yaml")
        >>> entry["sets"]["dataset"]["bucket"]
        'imgml'
    """
    file = read_credentials_file(credentials_filename)
    named = file.named(s3_name)
    return s3store.from_credentials(named.credentials), dict(file.shown), dict(named.shown)


def _run_all(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Run the work on all items concurrently; return the results in their order.

    The first failure is raised, and items that have not started are canceled.
    """
    threads = min(THREADS, max(len(items), 1))
    with ThreadPoolExecutor(threads, thread_name_prefix="s3store") as executor:
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
            f"expected a name that ends in {', '.join(_READERS)}, got {object_name!r}"
        )
    return suffix
