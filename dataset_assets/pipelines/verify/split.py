"""`verify_split`: does a split hold what its manifest says, and does nothing leak from one split into another?"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.archives.tar_reader import check_tar
from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.assign import find_leaks
from dataset_assets.splits.table import check_table
from dataset_assets.splits.versions import ASSIGNMENT, CURRENT, load_split, version_store
from dataset_assets.storage.store import Store

_FOLDERS = ("archives/", "data/")
_Rows = list[dict[str, Any]]
_Keys = defaultdict[str, set[str]]


def is_split(store: Store) -> bool:
    """Tell whether a folder holds a split."""
    return store.size(CURRENT) is not None


def verify_split(store: Store, *, deep: bool = True) -> list[str]:
    """List what is wrong with the version that counts; nothing, when it is sound.

    Shallow: sizes of all files, counts, leaks between splits. Deep: every byte is read and hashed, every archive walked to its end, every key of a table
    looked up in the assignment.

    Raises:
        ObjectMissing: there is no split.
    """
    try:
        manifest = load_split(store)
    except ShardCorrupt as exc:
        return [str(exc)]
    folder = version_store(store, manifest)
    keys: _Keys = defaultdict(set)
    problems = [
        *(_contents(folder, manifest, keys) if deep else _sizes(folder, manifest)),
        *_strangers(folder, manifest),
        *_counts(manifest),
    ]
    try:
        rows = _read_rows(folder)
    except (ShardCorrupt, ObjectMissing) as exc:
        return [*problems, str(exc)]
    return [*problems, *_assignment(manifest, rows), *_misplaced(rows, keys)]


def _sizes(folder: Store, manifest: SplitManifest) -> Iterator[str]:
    for file in manifest.files:
        size = folder.size(file.name)
        if size is None:
            yield f"{file.name} is missing; split again to make it"
        elif size != file.bytes:
            yield f"{file.name} has {size} bytes, expected {file.bytes}; split again to make it"


def _strangers(folder: Store, manifest: SplitManifest) -> Iterator[str]:
    ours = {file.name for file in manifest.files}
    for prefix in _FOLDERS:
        yield from (
            f"{info.key} is not in the manifest; delete it"
            for info in folder.list(prefix)
            if info.key not in ours
        )


def _counts(manifest: SplitManifest) -> Iterator[str]:
    """Compare the samples of the files of each kind with those of the splits."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for file in manifest.files:
        held["tables" if file.kind == "parquet" else "archives"][file.split] += file.samples
    for kind, counts in held.items():
        for split, expected in manifest.splits.items():
            if counts[split] != expected.samples:
                yield f"the {kind} of {split} hold {counts[split]} samples, expected {expected.samples}"
        yield from (
            f"the {kind} have a split {split!r} that the manifest does not have"
            for split in counts.keys() - manifest.splits.keys()
        )


def _read_rows(folder: Store) -> _Rows:
    try:
        with folder.open_read(ASSIGNMENT) as file:
            rows: _Rows = pq.read_table(file, use_threads=False).to_pylist()
    except (pa.ArrowException, OSError) as exc:
        raise ShardCorrupt(
            f"{ASSIGNMENT} is not a readable parquet file: {exc}; delete it and split again"
        ) from exc
    if rows and not {"key", "group", "split", "digest", "bytes"} <= rows[0].keys():
        raise ShardCorrupt(
            f"{ASSIGNMENT} has other columns than expected: {', '.join(rows[0])}; delete it and split again"
        )
    return rows


def _assignment(manifest: SplitManifest, rows: _Rows) -> Iterator[str]:
    """Look for what is in two splits, and count."""
    with_digest = manifest.options.get("keep_duplicates_together", True)
    yield from find_leaks(row if with_digest else {**row, "digest": None} for row in rows)
    if len({row["key"] for row in rows}) != len(rows):
        yield f"{ASSIGNMENT} has a key twice"
    for split, expected in manifest.splits.items():
        dealt = [row for row in rows if row["split"] == split]
        found = len(dealt), len({row["group"] for row in dealt}), sum(row["bytes"] for row in dealt)
        if found != (expected.samples, expected.groups, expected.bytes):
            yield (
                f"{ASSIGNMENT} gives {split} {found[0]} samples in {found[1]} groups with {found[2]} bytes, "
                f"expected {expected.samples} in {expected.groups} with {expected.bytes}"
            )


def _contents(folder: Store, manifest: SplitManifest, keys: _Keys) -> Iterator[str]:
    """Read every file. `keys` gets the keys of the samples of each split whose tables are sound."""
    damaged = set()
    for file in manifest.files:
        is_table = file.kind == "parquet"
        problems = (check_table if is_table else check_tar)(folder, file)
        yield from problems
        if is_table and problems:
            damaged.add(file.split)
        elif is_table:
            with folder.open_read(file.name) as opened:
                keys[file.split].update(
                    pq.read_table(opened, columns=["key"], use_threads=False)
                    .column("key")
                    .to_pylist()
                )
    for split in damaged:
        keys.pop(split, None)


def _misplaced(rows: _Rows, keys: _Keys) -> Iterator[str]:
    for split, found in keys.items():
        dealt = {row["key"] for row in rows if row["split"] == split}
        yield from (
            f"sample {key!r} is dealt to {split}, but is not in its tables"
            for key in sorted(dealt - found)
        )
        yield from (
            f"sample {key!r} is in the tables of {split}, but not dealt to it"
            for key in sorted(found - dealt)
        )
