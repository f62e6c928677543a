"""Reads and checks the archives of a split: tar or tar.gz."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from dataset_assets.archives.gzip_reader import GzipReader
from dataset_assets.archives.hashed_file import HashedFile
from dataset_assets.archives.tar_header import SPLIT
from dataset_assets.archives.tar_reader import TarMember, read_tar
from dataset_assets.archives.tar_writer import KINDS
from dataset_assets.checks import one_of
from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.splits import ArchiveFile
from dataset_assets.storage.store import Store

_CHUNK = 1 << 20


def read_split_tar(file: BinaryIO, label: str, kind: str) -> Iterator[TarMember]:
    """Yield the members of a "tar" or "tar.gz" of a split, as `read_tar` does.

    Raises:
        ShardCorrupt: see `read_tar`.
    """
    if one_of("kind of archive", kind, KINDS) == "tar":
        return read_tar(file, label, SPLIT)
    unpacked = io.BufferedReader(GzipReader(file, label), _CHUNK)
    return read_tar(unpacked, label, SPLIT)


def check_tar(store: Store, file: ArchiveFile) -> list[str]:
    """List what is wrong with a committed archive of a split.

    Returns:
        Sentences that name the archive; [] when it is what its record says.
    """
    try:
        opened = store.open_read(file.name)
    except ObjectMissing:
        return [f"{file.name} is missing"]
    with HashedFile(opened, "sha256") as hashed:
        return list(_problems(hashed, file))


def _problems(hashed: HashedFile, file: ArchiveFile) -> Iterator[str]:
    try:
        members = read_split_tar(hashed, file.name, file.kind)
        found, counts = _count(member.name for member in members)
        if found != file.members:
            yield f"{file.name}: expected {file.members} members, got {found}"
        if file.samples not in counts:
            yield f"{file.name}: expected {file.samples} samples, got {counts[0]}"
    except ShardCorrupt as exc:
        yield str(exc)
    size = hashed.seek(0, io.SEEK_END)
    if size != file.bytes:
        yield f"{file.name}: expected {file.bytes} bytes, got {size}"
        return
    sha256 = hashed.hexdigest(max_unread=size)
    if sha256 != file.sha256:
        yield f"{file.name} has changed: expected sha256 {file.sha256}, got {sha256}"


def _count(names: Iterator[str]) -> tuple[int, tuple[int, int]]:
    """Count members, and samples as either layout of a split groups them.

    Members of one sample follow each other and share what is before the first dot, or the folder.
    """
    members = stems = folders = 0
    stem = folder = None
    for name in names:
        found, _, base = name.rpartition("/")
        members += 1
        stems += (found, base.partition(".")[0]) != stem
        folders += found != folder
        stem = (found, base.partition(".")[0])
        folder = found
    return members, (stems, folders)
