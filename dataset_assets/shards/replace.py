"""Replaces a committed shard by a new version, safe against crashes on any store.

The new version is written as a shard of its own in `_replace/00000/`. Its record there is written
last and is the intent: without it nothing has happened; with it the replacement will happen.
Rolling forward copies the files over the old ones, then the record, then removes the intent and the
folder. It can be interrupted and repeated at any point. Between the first copy and the new record,
files and record disagree in size or sha256, so a reader that checks refuses the shard instead of
mixing versions.
"""

from collections.abc import Collection

from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.shards import ShardFile, ShardRecord
from dataset_assets.shards.commits import RECORD_SUFFIX, read_record, write_record
from dataset_assets.storage.abandoned import ABANDONED_S, folder_ages
from dataset_assets.storage.store import Store

FOLDER = "_replace"
#: Marks a replacement that has begun, before its first file is committed.
STARTED = "started"
_CHUNK = 1 << 20


def replacement_store(store: Store, name: str) -> Store:
    """Empty and return the folder for the new version of a shard.

    Commit the new version there, then call `replace_shard`.
    """
    store.delete_tree(f"{FOLDER}/{name}")
    folder = store.child(f"{FOLDER}/{name}")
    folder.write(STARTED, b"", durable=False)
    return folder


def replace_shard(store: Store, record: ShardRecord) -> None:
    """Replace a shard by the version that is committed to its `replacement_store`.

    Args:
        store: the shard set.
        record: the record of the new version.

    Raises:
        ShardIncomplete: the record does not account for all rows.
        ShardCorrupt: the files of the new version do not agree with the record.
    """
    write_record(store.child(f"{FOLDER}/{record.name}"), record)
    roll_forward(store, [record.name])


def roll_forward(
    store: Store, names: Collection[str] | None = None, *, abandoned_s: float = ABANDONED_S
) -> list[str]:
    """Finish interrupted replacements; return the names of the shards that were replaced.

    Every run calls this when it starts. Idempotent. A replacement without an intent may belong to a
    live run; it is removed after `abandoned_s` seconds without a write.

    Args:
        store: the shard set.
        names: of the shards to look at; None is all.
        abandoned_s: seconds without a write after which the run counts as dead.

    Raises:
        ShardCorrupt: the files of a new version do not agree with its record.
    """
    replaced = []
    for name, age_s in folder_ages(store, FOLDER).items():
        if names is not None and name not in names:
            continue
        if _roll_forward_one(store, name):
            replaced.append(name)
        elif age_s > abandoned_s:
            store.delete_tree(f"{FOLDER}/{name}")
    return replaced


def _roll_forward_one(store: Store, name: str) -> bool:
    """Roll one replacement forward; return whether there was an intent."""
    folder = store.child(f"{FOLDER}/{name}")
    record = read_record(folder, name)
    try:
        if record is None:
            raise ShardCorrupt(_damaged(folder, "its files do not agree with its record"))
        for file in record.files:
            _copy(folder, store, file)
    except (ObjectMissing, ShardCorrupt):
        if folder.size(name + RECORD_SUFFIX) is None:
            return False  # there is no intent, or another run has just finished it
        raise
    write_record(store, record)
    folder.delete(record.record_name)
    store.delete_tree(f"{FOLDER}/{name}")
    return True


def _damaged(folder: Store, problem: str) -> str:
    return (
        f"{folder.url}: the new version of a shard is damaged: {problem}; "
        "delete that folder and run again"
    )


def _copy(source: Store, target: Store, file: ShardFile) -> None:
    if file.sha256 is not None:
        _copy_object(source, target, file.name, file.sha256)
        return
    keep = {info.key for info in source.list(f"{file.name}/")}
    for key in sorted(keep):
        target.write(key, source.read(key), durable=False)
    for info in list(target.list(f"{file.name}/")):
        if info.key not in keep:
            target.delete(info.key)


def _copy_object(source: Store, target: Store, key: str, sha256: str) -> None:
    with source.open_read(key) as opened, target.stage(key) as staged:
        while chunk := opened.read(_CHUNK):
            staged.write(chunk)
        if staged.sha256 != sha256:
            raise ShardCorrupt(_damaged(source, f"{key} has changed since it was written"))
        staged.commit()
