"""Transfers one object between a bucket and a folder or two buckets, checked on arrival."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from dataset_assets.errors import SourceError, StorageError
from dataset_assets.storage.posix import translate_os_errors
from dataset_assets.storage.s3.client import Bucket
from dataset_assets.storage.s3.read import md5_of
from dataset_assets.storage.stores.s3 import Store

CHUNK_BYTES = 1 << 20
MAX_COPY_BYTES = 5 << 30
"""The server copies objects up to this size in one request."""


class Entry(NamedTuple):
    """One line of a listing."""

    key: str
    bytes: int
    md5: str | None
    """None when the ETag is no MD5, as after a multipart upload."""
    is_folder: bool = False


def list_entries(bucket: Bucket, prefix: str, *, delimiter: str) -> list[Entry]:
    """List the keys that begin with a prefix, sorted.

    With a delimiter, folders instead of their content.
    """
    found: list[Entry] = []
    where = f"s3://{bucket.name}/{prefix}"
    pages = bucket.list_pages("list_objects_v2", where, Prefix=prefix, Delimiter=delimiter)
    for page in pages:
        files = page.get("Contents", [])
        folders = page.get("CommonPrefixes", [])
        found += [Entry(item["Key"], item["Size"], md5_of(item)) for item in files]
        found += [Entry(item["Prefix"], 0, None, is_folder=True) for item in folders]
    return sorted(found, key=lambda entry: entry.key)


def list_files(folder: Path) -> list[tuple[str, Path]]:
    """List all files below a folder, links followed, as (name below it, path), sorted by name.

    Raises:
        SourceError: an entry is neither file nor folder, a folder cannot be read or contains
            itself, or a name is not UTF-8.
    """
    return sorted(_walk(folder, "", ()))


def _walk(folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    real = os.path.realpath(folder)
    if real in above:
        raise SourceError(f"{folder} is a link to a folder that contains it; remove the link")
    try:
        entries = list(folder.iterdir())
    except OSError as exc:
        raise SourceError(f"{folder} cannot be read: {exc.strerror}") from exc
    for path in entries:
        name = f"{prefix}{_name_of(path)}"
        if path.is_dir():
            yield from _walk(path, f"{name}/", (*above, real))
        elif path.is_file():
            yield name, path
        else:
            raise SourceError(
                f"expected a file to upload, got {path}, a broken link or a device; remove it"
            )


def _name_of(path: Path) -> str:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise SourceError(
            f"expected a name in UTF-8, got {path.name!a} in {str(path.parent)!a}; rename the file"
        ) from None
    return path.name


def upload(path: Path, store: Store, key: str) -> None:
    """Upload a file, invisible until it is complete.

    Raises:
        SourceError: the file cannot be read, or changes meanwhile.
    """
    try:
        with path.open("rb") as file, store.stage(key, sha256=False) as staged:
            expected = os.fstat(file.fileno()).st_size
            while data := file.read(CHUNK_BYTES):
                staged.write(data)
            if staged.bytes != expected:
                raise SourceError(
                    f"{path} changed while it was uploaded: {expected} bytes, then "
                    f"{staged.bytes}; run again"
                )
            staged.commit()
    except OSError as exc:
        raise SourceError(f"{path} cannot be read: {exc.strerror}") from exc


def download(store: Store, entry: Entry, folder: Path, name: str) -> None:
    """Download an object to a file, which becomes visible when it is complete and checked.

    Raises:
        StorageError: the bytes differ from the listing, the file cannot be written, or the name
            would leave the folder.
    """
    if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
        raise StorageError(
            f"{store.url}/{entry.key}: expected a name below {folder}, got {name!r}, which leaves "
            "it or has an empty part"
        )
    path = folder / name
    part = path.with_name(f".{path.name[:200]}.{uuid4().hex[:8]}.part")
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                _read_checked(store, entry, file.write)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _read_checked(store: Store, entry: Entry, write: Callable[[bytes], object]) -> None:
    md5 = hashlib.md5(usedforsecurity=False)
    count = 0
    with store.open_read(entry.key) as file:
        while data := file.read(CHUNK_BYTES):
            write(data)
            md5.update(data)
            count += len(data)
    if count != entry.bytes or (entry.md5 is not None and md5.hexdigest() != entry.md5):
        raise StorageError(
            f"{store.url}/{entry.key} differs from its listing: expected {entry.bytes} bytes, got "
            f"{count}, or another MD5; run again, or upload it again"
        )


def copy(source: Store, entry: Entry, destination: Store, key: str) -> None:
    """Copy an object through this process.

    Raises:
        StorageError: the bytes differ from the listing, or one of the two servers refuses.
    """
    with destination.stage(key, sha256=False) as staged:
        _read_checked(source, entry, staged.write)
        staged.commit()


def copy_within(source: Bucket, entry: Entry, destination: Bucket, key: str) -> None:
    """Let the server of both buckets copy an object of at most `MAX_COPY_BYTES`.

    Raises:
        StorageError: the server refuses, or the copy differs.
    """
    where = f"s3://{destination.name}/{key}"
    answer = destination.call(
        "copy_object", where, Key=key, CopySource={"Bucket": source.name, "Key": entry.key}
    )
    md5 = md5_of(answer.get("CopyObjectResult", {}))
    if md5 is not None and entry.md5 is not None:
        is_equal = md5 == entry.md5
    else:
        is_equal = destination.call("head_object", where, Key=key)["ContentLength"] == entry.bytes
    if not is_equal:
        raise StorageError(
            f"{where} differs from its original, s3://{source.name}/{entry.key}; run again"
        )
