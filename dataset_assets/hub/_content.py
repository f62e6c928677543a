"""The bytes of a file to publish: generated text, or an object of a store. Read in blocks."""

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.publications import PublishFile
from dataset_assets.storage.store import open_store
from dataset_assets.storage.stores.local import Store as LocalStore

BLOCK_BYTES = 1 << 20


def open_content(file: PublishFile) -> BinaryIO:
    """Open the bytes of a file.

    Raises:
        ObjectMissing: its store no longer has them.
    """
    if file.text is not None:
        return io.BytesIO(file.text.encode())
    return open_store(file.store_url).open_read(file.path)


def local_path(file: PublishFile) -> Path | None:
    """Return the local path of the bytes, or None for text and objects of remote stores."""
    if file.text is not None:
        return None
    store = open_store(file.store_url)
    return Path(store.locate(file.path)) if isinstance(store, LocalStore) else None


def check_content(file: PublishFile, sha256: str) -> None:
    """Compare the hash of what was read with the one that the split recorded.

    Raises:
        ShardCorrupt: the file has changed since the split was made.
    """
    if sha256 != file.sha256:
        raise ShardCorrupt(
            f"{file.path}: expected sha256 {file.sha256[:12]} as in the manifest of the split, "
            f"got {sha256[:12]}; nothing was published: verify the split and recreate it"
        )


def git_sha1(file: PublishFile) -> str:
    """Return the hash by which git names the content of a small file.

    Raises:
        ShardCorrupt: the file has changed since the split was made.
    """
    with open_content(file) as content:
        data = content.read()
    check_content(file, hashlib.sha256(data).hexdigest())
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
