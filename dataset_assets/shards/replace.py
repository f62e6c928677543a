"""A new version of a committed shard in place of the old one, safe against crashes on any store.

The new version is written as a shard of its own in `_replace/00000/` (so all of it is durable). Its record there, written last, is the intent: without
it nothing has happened, with it the replacement will happen. Rolling forward copies the files over the old ones, then the record, then removes the
intent, then the folder; it may be cut and repeated at any point. Between the first copy and the new record, files and record disagree in size or
sha256, so a reader that checks refuses the shard rather than mix versions.
"""

import time
from collections.abc import Collection

from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.shards import ShardFile, ShardRecord
from dataset_assets.shards.commits import RECORD_SUFFIX, read_record, write_record
from dataset_assets.storage.store import Store

FOLDER = "_replace"
STARTED = "started"  # tells when, and that there is something to clean up, before the first file is committed
ABANDONED_S = 24 * 3600.0
_CHUNK = 1 << 20


def replacement_store(store: Store, name: str) -> Store:
    """Return the emptied folder in which to write and commit the new version of a shard. Then call `replace_shard`."""
    store.delete_tree(f"{FOLDER}/{name}")
    folder = store.child(f"{FOLDER}/{name}")
    folder.write(STARTED, b"", durable=False)
    return folder


def replace_shard(store: Store, record: ShardRecord) -> None:
    """Put the new version, committed to its `replacement_store`, in place of the old one. `record` is the new version's.

    Raises:
        ShardIncomplete: its rows are not all accounted for.
        ShardCorrupt: its files are not what the record says.
    """
    write_record(store.child(f"{FOLDER}/{record.name}"), record)
    roll_forward(store, [record.name])


def roll_forward(
    store: Store, names: Collection[str] | None = None, *, abandoned_s: float = ABANDONED_S
) -> list[str]:
    """Finish replacements that were cut off, of these shards or (None) of all; return the names of the shards that are new now.

    Called at the start of every run. Idempotent. Replacements without an intent may still be at work: they are removed once untouched for
    `abandoned_s`.

    Raises:
        ShardCorrupt: a new version is not what its record says; the message says what to do.
    """
    newest: dict[str, float] = {}
    for info in store.list(f"{FOLDER}/"):
        name = info.key.split("/")[1]
        newest[name] = max(newest.get(name, 0.0), info.modified)
    done = []
    for name, modified in newest.items():
        if names is not None and name not in names:
            continue
        if _finish(store, name):
            done.append(name)
        elif 0 < modified < time.time() - abandoned_s:
            store.delete_tree(f"{FOLDER}/{name}")
    return done


def _finish(store: Store, name: str) -> bool:
    """Roll one replacement forward; tell whether there was an intent."""
    folder = store.child(f"{FOLDER}/{name}")
    record = read_record(folder, name)
    try:
        if record is None:
            raise ShardCorrupt(_damaged(folder, "its files do not agree with its record"))
        for file in record.files:
            _copy(folder, store, file)
    except (ObjectMissing, ShardCorrupt):
        if folder.size(name + RECORD_SUFFIX) is None:
            return False  # nothing was intended, or another run has just done it
        raise
    write_record(store, record)
    folder.delete(record.record_name)
    store.delete_tree(f"{FOLDER}/{name}")
    return True


def _damaged(folder: Store, what: str) -> str:
    return f"the new version of a shard in {folder.url} is damaged: {what}; delete that folder and run again"


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
