"""Versions of a split side by side, and the pointer to the one that counts.

* `current.json`: {"version": ..., "previous": [...]}, moved last, in one write
* `versions/<version>/manifest.json`: written when every file is there; from here on the version exists
* `versions/<version>/assignment.parquet`: key, group, split, stratum, digest and bytes of every sample
* `versions/<version>/archives/...` and `data/...`: see `splits.plan`
* `versions/<version>/_records/<file>.json`: written when a file is committed; what a run goes by that finishes another one's work
"""

import json
import re
import time
from typing import NamedTuple

from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.splits import SplitManifest
from dataset_assets.storage.store import Store

CURRENT = "current.json"
MANIFEST = "manifest.json"
ASSIGNMENT = "assignment.parquet"
RECORDS = "_records"
#: A folder without a pointer that nobody has written to for so long is what a killed run left.
ABANDONED_S = 24 * 3600.0
_FOLDER = "versions"
_NAME = re.compile(r"[0-9a-f]{64}")


class Pointer(NamedTuple):
    """Which version counts, and which did before it, the latest first."""

    version: str
    previous: tuple[str, ...] = ()


def folder_of(store: Store, version: str) -> Store:
    """Return the folder of a version."""
    return store.child(f"{_FOLDER}/{version}")


def version_store(store: Store, manifest: SplitManifest) -> Store:
    """Return the folder that the files of a manifest lie in."""
    return folder_of(store, manifest.version)


def load_split(store: Store) -> SplitManifest:
    """Read the manifest of the version that counts.

    Raises:
        ObjectMissing: there is no split.
        ShardCorrupt: the pointer or the manifest is not one, or they do not agree.
        ConfigurationError: a newer version of this package wrote it.
    """
    pointer = read_pointer(store)
    if pointer is None:
        raise ObjectMissing(
            f"no split in {store.url}: expected {CURRENT}; run `dataset-assets split` or materialize split_archives first"
        )
    manifest = read_manifest(folder_of(store, pointer.version))
    if manifest is None or manifest.version != pointer.version:
        raise ShardCorrupt(
            f"{store.locate(CURRENT)} points at version {pointer.version[:12]}, which is not there; split again to make it"
        )
    return manifest


def read_manifest(folder: Store) -> SplitManifest | None:
    """Read the manifest of a version; None when there is none. Raises what `load_split` does."""
    try:
        data = folder.read(MANIFEST)
    except ObjectMissing:
        return None
    try:
        version = int(json.loads(data)["schema_version"])
        if version <= SCHEMA_VERSION:
            return SplitManifest.from_json(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise ShardCorrupt(
            f"{folder.locate(MANIFEST)} is not the manifest of a split ({exc}); delete it and split again"
        ) from exc
    raise ConfigurationError(
        f"{folder.locate(MANIFEST)} has schema version {version}, expected at most {SCHEMA_VERSION}: upgrade dataset-assets"
    )


def read_pointer(store: Store) -> Pointer | None:
    """Read the pointer; None when there is none.

    Raises:
        ShardCorrupt: it is not one.
    """
    try:
        data = store.read(CURRENT)
    except ObjectMissing:
        return None
    try:
        raw = json.loads(data)
        pointer = Pointer(raw["version"], tuple(raw.get("previous", ())))
        if all(_NAME.fullmatch(version) for version in (pointer.version, *pointer.previous)):
            return pointer
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # a pointer of something else: said below
    raise ShardCorrupt(
        f"{store.locate(CURRENT)} does not lead to a split: it does not point at a version; delete it and split again"
    )


def point_at(store: Store, version: str, *, keep_versions: int, now_s: float | None = None) -> None:
    """Make a version the one that counts, then delete what is no longer kept. Idempotent.

    Deleted are versions that counted once and have fallen behind (they stay in the pointer until they are gone), and folders that a run left which was
    killed long ago. What another run is making at the same time stays.
    """
    before = read_pointer(store)
    history = tuple(
        each for each in ((before.version, *before.previous) if before else ()) if each != version
    )
    kept, dropped = history[: keep_versions - 1], history[keep_versions - 1 :]
    if before != (version, history):
        _write(store, Pointer(version, history))
    for old in (
        *dropped,
        *_abandoned(store, {version, *history}, time.time() if now_s is None else now_s),
    ):
        folder_of(store, old).delete(MANIFEST)  # first: half a version must not look whole
        store.delete_tree(f"{_FOLDER}/{old}")
    if dropped:
        _write(store, Pointer(version, kept))


def _write(store: Store, pointer: Pointer) -> None:
    store.write(CURRENT, json.dumps(pointer._asdict()).encode())


def _abandoned(store: Store, kept: set[str], now_s: float) -> list[str]:
    newest: dict[str, float] = {}
    for info in store.list(f"{_FOLDER}/"):
        version = info.key.split("/")[1]
        newest[version] = max(newest.get(version, 0.0), info.modified or now_s)
    return [
        version
        for version, modified in newest.items()
        if version not in kept and now_s - modified > ABANDONED_S
    ]
