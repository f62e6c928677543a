"""Layout `objects`: one object per image and label map, under paths that torchdatasetutil reads.

A group of images is a shard without a sample file: its rows are in `00000.parquet`, and its record
is written after all of its objects.
"""

import hashlib
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import Row, ShardFile, ShardRecord
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.shards.commits import accounting_problem
from dataset_assets.shards.reading import metadata_file
from dataset_assets.shards.sidecar import SUFFIX, ShardTable, read_table
from dataset_assets.shards.verify import size_problem
from dataset_assets.storage.store import Store, open_store

FORMAT = "objects"
#: Images in a group: at most this many are sent again after a crash.
MAX_GROUP = 1000
_SENDERS = 16
#: Objects in memory.
_MAX_PENDING = 4 * _SENDERS
_CHUNK_BYTES = 1 << 20
#: End of the name of a kept file -> the folder that has it in the published layout.
_KEPT_FOLDERS = {".json": "annotations/", "meta.bin": ""}
#: Columns that say where the objects of an image are.
LOCATION_FIELDS = (
    pa.field("object_paths", pa.list_(pa.string())),
    pa.field("object_bytes", pa.list_(pa.int64())),
)


def open_objects_store(store: Store, url: str | None = None) -> Store:
    """Open the folder that object paths are relative to.

    Args:
        store: folder of the partition.
        url: the folder; None: that of the dataset, two above the partition.
    """
    return open_store(url or store.url.rstrip("/").rsplit("/", 2)[0])


def objects_bytes(row: Row) -> int:
    """Return the bytes of the objects of an image."""
    return sum(map(len, row.parts.values()))


class ObjectOutput:
    """A group of images: sends their objects, and writes their rows as a table."""

    def __init__(self, store: Store, name: str, schema: pa.Schema, objects: Store) -> None:
        self._objects = objects
        self._table = ShardTable(store.stage(name + SUFFIX), pa.schema([*schema, *LOCATION_FIELDS]))
        self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix="objects")
        self._pending: deque[Future[None]] = deque()

    def write(self, row: Row) -> None:
        """Send the objects of an image, its parts, in the background and append its row."""
        for path, data in row.parts.items():
            self._pending.append(self._senders.submit(self._objects.write, path, data))
            if len(self._pending) > _MAX_PENDING:
                self._pending.popleft().result()
        locations = {
            "object_paths": list(row.parts),
            "object_bytes": [len(data) for data in row.parts.values()],
        }
        self._table.append({**row.columns, **row.extra, **locations})

    def commit(self) -> tuple[ShardFile, ...]:
        """Wait until all objects are sent, then commit the table."""
        while self._pending:
            self._pending.popleft().result()
        self._senders.shutdown()
        return (self._table.commit(),)

    def discard(self) -> None:
        """Remove the table. Objects stay: the next run overwrites them with the same bytes."""
        self._senders.shutdown(cancel_futures=True)
        self._table.discard()


def write_kept_files(store: Store, kept: Sequence[ShardFile], objects: Store) -> None:
    """Copy the annotation files that a partition keeps to their place in the published layout.

    Idempotent.
    """
    for file in kept:
        path = _published_path(file.name.rpartition("/")[2])
        if path is None or objects.size(path) == file.bytes:
            continue
        with store.open_read(file.name) as opened, objects.stage(path, sha256=False) as staged:
            shutil.copyfileobj(opened, staged, _CHUNK_BYTES)
            staged.commit()


def _published_path(name: str) -> str | None:
    for suffix, folder in _KEPT_FOLDERS.items():
        if name.endswith(suffix):
            return folder + name
    return None


def verify_objects(
    store: Store, record: ShardRecord, objects: Store, *, deep: bool = True
) -> Iterator[str]:
    """Yield what is wrong with a group: counts and sizes; with `deep`, also sha256 of images."""
    if problem := accounting_problem(record):
        yield f"shard {record.name}: the record counts {problem}"
    table = metadata_file(record)
    rows = [] if table is None else list(read_table(store, table.name))
    successes = [row for row in rows if row["status"] == SUCCESS]
    if (len(rows), len(successes)) != (record.count, record.successes):
        yield (
            f"shard {record.name}: expected {record.count} rows with {record.successes} successes, "
            f"got {len(rows)} with {len(successes)}"
        )
    for row in successes:
        for path, size in zip(row["object_paths"], row["object_bytes"], strict=True):
            if problem := size_problem(objects.locate(path), size, objects.size(path)):
                yield f"{problem}; stage again to write it"
        image = row["object_paths"][0]
        data = read_or_none(objects.read, image, bytes) if deep else None
        if data is not None and hashlib.sha256(data).hexdigest() != row["sha256"]:
            yield f"{objects.locate(image)} has changed: its sha256 differs; stage it again"
