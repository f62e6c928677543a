"""The bytes of a file to publish: text that was made for it, or an object of a store. Never more than a block of them in memory."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.splits import PublishFile
from dataset_assets.storage.store import open_store
from dataset_assets.storage.stores.local import Store as LocalStore

_BLOCK_BYTES = 1 << 20


def open_content(file: PublishFile) -> BinaryIO:
    """Open the bytes of a file.

    Raises:
        ObjectMissing: its store has them no longer.
    """
    return (
        io.BytesIO(file.text.encode())
        if file.text is not None
        else open_store(file.store_url).open_read(file.key)
    )


def local_path(file: PublishFile) -> Path | None:
    """Return where the bytes lie on this machine, or None when they are text or in another kind of store."""
    if file.text is not None:
        return None
    store = open_store(file.store_url)
    return Path(store.locate(file.key)) if isinstance(store, LocalStore) else None


def read_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield what is left of an open file, in blocks."""
    while block := file.read(_BLOCK_BYTES):
        yield block


def sha256_of(file: BinaryIO) -> str:
    """Hash what is left of an open file."""
    digest = hashlib.sha256()
    for block in read_blocks(file):
        digest.update(block)
    return digest.hexdigest()


def check_content(file: PublishFile, found: str) -> None:
    """Compare the hash of what was read with the one that the split recorded.

    Raises:
        ShardCorrupt: the file has changed since its split was made.
    """
    if found != file.sha256:
        raise ShardCorrupt(
            f"{file.path}: its bytes differ from the split's manifest (sha256 {found[:12]}, expected {file.sha256[:12]}); "
            "nothing was published: verify the split, and make it again"
        )


def git_sha1(file: PublishFile) -> str:
    """Return the name that git gives to the content of a small file.

    Raises:
        ShardCorrupt: the file has changed since its split was made.
    """
    with open_content(file) as content:
        data = content.read()
    check_content(file, hashlib.sha256(data).hexdigest())
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
