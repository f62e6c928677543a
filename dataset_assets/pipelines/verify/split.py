"""`verify_split`: checks that a split agrees with its manifest, and that splits share nothing."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from dataset_assets.archives.split_tar import check_tar
from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.splits import SplitManifest
from dataset_assets.shards.verify import size_problem
from dataset_assets.splits.assign import find_leaks
from dataset_assets.splits.table import check_table
from dataset_assets.splits.versions import ASSIGNMENT, CURRENT, load_split, version_store
from dataset_assets.storage.parquet import translate_parquet_errors
from dataset_assets.storage.store import Store

_FOLDERS = ("archives/", "data/")
_COLUMNS = {"key", "group", "split", "digest", "bytes"}
_Rows = list[dict[str, Any]]
#: Split -> keys of the samples in its tables.
_Keys = defaultdict[str, set[str]]


def is_split(store: Store) -> bool:
    """Tell whether a folder holds a split."""
    return store.size(CURRENT) is not None


def verify_split(store: Store, *, deep: bool = True) -> list[str]:
    """List the problems of the current version of a split.

    Args:
        store: the folder of the split.
        deep: read and hash every byte, read every archive to its end, and look up every key of a
            table in the assignment. Otherwise only sizes, counts and leaks between splits are
            checked.

    Returns:
        One sentence for each problem; an empty list when there is none.

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
        *(_content_problems(folder, manifest, keys) if deep else _size_problems(folder, manifest)),
        *_unknown_files(folder, manifest),
        *_count_problems(manifest),
    ]
    try:
        rows = _read_rows(folder)
    except (ShardCorrupt, ObjectMissing) as exc:
        return [*problems, str(exc)]
    return [*problems, *_assignment_problems(manifest, rows), *_misplaced_samples(rows, keys)]


def _size_problems(folder: Store, manifest: SplitManifest) -> Iterator[str]:
    for file in manifest.files:
        if problem := size_problem(file.name, file.bytes, folder.size(file.name)):
            yield f"{problem}; split again to make it"


def _unknown_files(folder: Store, manifest: SplitManifest) -> Iterator[str]:
    known = {file.name for file in manifest.files}
    for prefix in _FOLDERS:
        for info in folder.list(prefix):
            if info.key not in known:
                yield f"{info.key} is not in the manifest; delete it"


def _count_problems(manifest: SplitManifest) -> Iterator[str]:
    """Compare the samples of the files of each kind with those of the splits."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for file in manifest.files:
        held["tables" if file.kind == "parquet" else "archives"][file.split] += file.samples
    for kind, counts in held.items():
        for split, expected in manifest.splits.items():
            if counts[split] != expected.samples:
                found = counts[split]
                yield f"the {kind} of {split}: expected {expected.samples} samples, got {found}"
        for split in counts.keys() - manifest.splits.keys():
            yield f"the {kind} have a split {split!r} that the manifest does not have"


def _read_rows(folder: Store) -> _Rows:
    with (
        translate_parquet_errors(ASSIGNMENT, "delete it and split again"),
        folder.open_read(ASSIGNMENT) as file,
    ):
        rows: _Rows = pq.read_table(file, use_threads=False).to_pylist()
    if rows and not rows[0].keys() >= _COLUMNS:
        raise ShardCorrupt(
            f"{ASSIGNMENT}: expected columns {', '.join(sorted(_COLUMNS))}, "
            f"got {', '.join(rows[0])}; delete it and split again"
        )
    return rows


def _assignment_problems(manifest: SplitManifest, rows: _Rows) -> Iterator[str]:
    """Find what is in two splits, and compare the counts."""
    with_digest = manifest.options.get("keep_duplicates_together", True)
    yield from find_leaks(row if with_digest else {**row, "digest": None} for row in rows)
    if len({row["key"] for row in rows}) != len(rows):
        yield f"{ASSIGNMENT}: expected each key once, got one twice"
    for split, expected in manifest.splits.items():
        assigned = [row for row in rows if row["split"] == split]
        groups = {row["group"] for row in assigned}
        found = (len(assigned), len(groups), sum(row["bytes"] for row in assigned))
        if found != (expected.samples, expected.groups, expected.bytes):
            yield (
                f"{ASSIGNMENT}: expected {expected.samples} samples in {expected.groups} groups "
                f"with {expected.bytes} bytes for {split}, got {found[0]} in {found[1]} with "
                f"{found[2]}"
            )


def _content_problems(folder: Store, manifest: SplitManifest, keys: _Keys) -> Iterator[str]:
    """Read every file; add to `keys` those of each split whose tables have no problems."""
    damaged = set()
    for file in manifest.files:
        is_table = file.kind == "parquet"
        problems = (check_table if is_table else check_tar)(folder, file)
        yield from problems
        if is_table and problems:
            damaged.add(file.split)
        elif is_table:
            with folder.open_read(file.name) as opened:
                table = pq.read_table(opened, columns=["key"], use_threads=False)
            keys[file.split].update(table.column("key").to_pylist())
    for split in damaged:
        keys.pop(split, None)


def _misplaced_samples(rows: _Rows, keys: _Keys) -> Iterator[str]:
    for split, found in keys.items():
        assigned = {row["key"] for row in rows if row["split"] == split}
        for key in sorted(assigned - found):
            yield f"sample {key!r} is assigned to {split}, but is not in its tables"
        for key in sorted(found - assigned):
            yield f"sample {key!r} is in the tables of {split}, but is not assigned to it"
