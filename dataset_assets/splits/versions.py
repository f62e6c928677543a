"""Versions of a split side by side, and the pointer to the current one.

* `current.json`: {"version": ..., "previous": [...]}, written last, in one write
* `versions/<version>/manifest.json`: written when all files exist; from then on the version exists
* `versions/<version>/assignment.parquet`: key, group, split, stratum, digest, bytes of each sample
* `versions/<version>/archives/...` and `data/...`: see `splits.plan`
* `versions/<version>/_records/<file>.json`: written when a file is committed, to resume from
* `versions/<version>/_records/started`: written first, so that what killed runs leave is found
"""

import json
import re
from math import inf
from typing import NamedTuple

from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.splits import SplitManifest
from dataset_assets.records.stored_json import parse_stored, read_or_none
from dataset_assets.records.typed_json import decode, load_object
from dataset_assets.storage.store import Store

CURRENT = "current.json"
MANIFEST = "manifest.json"
ASSIGNMENT = "assignment.parquet"
RECORDS = "_records"
_STARTED = f"{RECORDS}/started"
_FOLDER = "versions"
_NAME = re.compile(r"[0-9a-f]{64}")


class Pointer(NamedTuple):
    """The current version and the ones before it, the latest first."""

    version: str
    previous: tuple[str, ...] = ()


def folder_of(store: Store, version: str) -> Store:
    """Return the folder of a version."""
    return store.child(f"{_FOLDER}/{version}")


def version_store(store: Store, manifest: SplitManifest) -> Store:
    """Return the folder that contains the files of a manifest."""
    return folder_of(store, manifest.version)


def load_split(store: Store) -> SplitManifest:
    """Read the manifest of the current version.

    Raises:
        ObjectMissing: the folder has no split.
        ShardCorrupt: the pointer or the manifest is malformed, or they disagree.
        ConfigurationError: a newer version of this package wrote the manifest.
    """
    pointer = read_pointer(store)
    if pointer is None:
        raise ObjectMissing(
            f"no split in {store.url}: expected {CURRENT}; run `dataset-assets split` or "
            "materialize split_archives first"
        )
    manifest = read_manifest(folder_of(store, pointer.version))
    if manifest is None or manifest.version != pointer.version:
        raise ShardCorrupt(
            f"{store.locate(CURRENT)} points at version {pointer.version[:12]}, which is missing; "
            "split again to make it"
        )
    return manifest


def read_manifest(folder: Store) -> SplitManifest | None:
    """Read the manifest of a version; return None when there is none.

    Raises:
        ShardCorrupt: the manifest is malformed.
        ConfigurationError: a newer version of this package wrote it.
    """
    data = read_or_none(folder.read, MANIFEST, bytes)
    if data is None:
        return None
    return parse_stored(
        data,
        SplitManifest.from_json,
        where=folder.locate(MANIFEST),
        expected="the manifest of a split",
        remedy="delete it and split again",
    )


def read_pointer(store: Store) -> Pointer | None:
    """Read the pointer; return None when there is none.

    Raises:
        ShardCorrupt: it is malformed.
    """
    data = read_or_none(store.read, CURRENT, bytes)
    if data is None:
        return None
    return parse_stored(
        data,
        _parse_pointer,
        where=store.locate(CURRENT),
        expected="a pointer to a version of a split",
        remedy="delete it and split again",
    )


def begin_version(store: Store, version: str) -> Store:
    """Mark a version as begun, and return its folder."""
    store.write(f"{_FOLDER}/{version}/{_STARTED}", b"", durable=False)
    return folder_of(store, version)


def sweep_versions(store: Store) -> None:
    """Remove the files that killed runs did not commit. The caller holds the lease of the folder.

    Versions that were begun stay until `point_at`, to be resumed.
    """
    store.sweep(older_than_s=-inf)
    for version in _versions(store):
        folder_of(store, version).sweep(older_than_s=-inf)


def point_at(store: Store, version: str, *, keep_versions: int) -> None:
    """Make a version the current one, then delete the versions that are no longer kept. Idempotent.

    Versions that were current once stay in the pointer until their files are deleted. Versions that
    killed runs left are deleted as well: the caller holds the folder, so no other run writes one.

    Args:
        store: the folder of the split.
        version: the version.
        keep_versions: how many versions stay, the current one included.
    """
    before = read_pointer(store)
    known = (before.version, *before.previous) if before else ()
    history = tuple(each for each in known if each != version)
    kept = history[: keep_versions - 1]
    dropped = history[keep_versions - 1 :]
    if before != (version, history):
        _write(store, Pointer(version, history))
    abandoned = sorted(_versions(store).difference((version, *history)))
    for old in (*dropped, *abandoned):
        folder_of(store, old).delete(MANIFEST)  # first: a partial version must not look complete
        store.delete_tree(f"{_FOLDER}/{old}")
    if dropped:
        _write(store, Pointer(version, kept))


def _versions(store: Store) -> set[str]:
    """Return the versions that were begun."""
    names = {info.key.split("/")[1] for info in store.list(f"{_FOLDER}/")}
    return {name for name in names if _NAME.fullmatch(name)}


def _parse_pointer(data: bytes) -> Pointer:
    raw = load_object(data)
    pointer = Pointer(decode(str, raw["version"]), decode(tuple[str, ...], raw.get("previous", [])))
    for version in (pointer.version, *pointer.previous):
        if not _NAME.fullmatch(version):
            raise ValueError(f"{version!r} is not a version")
    return pointer


def _write(store: Store, pointer: Pointer) -> None:
    store.write(CURRENT, json.dumps(pointer._asdict()).encode())
