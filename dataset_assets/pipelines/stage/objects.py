"""Layout `objects`: one object for each image and each label map, under the paths that torchdatasetutil reads, beside the rows that say what they are.

A group of images is a shard without a sample file: its rows are `00000.parquet`, its record is written when all of its objects are.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from dataset_assets.pipelines.stage._rows import Made
from dataset_assets.pipelines.stage._shards import ShardPlan
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import ShardFile, ShardRecord
from dataset_assets.shards.commits import accounting_problem
from dataset_assets.shards.reading import metadata_file
from dataset_assets.shards.sidecar import SUFFIX, Table, read_table
from dataset_assets.storage.store import Store, open_store

FORMAT = "objects"
#: Images of a group: what is sent again at most after a crash.
MAX_GROUP = 1000
_SENDERS = 16
_WAITING = 4 * _SENDERS  # objects in memory
_CHUNK = 1 << 20
#: End of the name of a kept file -> the folder of the published layout that it belongs to.
_KEPT_FOLDERS = {".json": "annotations/", "meta.bin": ""}
#: Columns that say where the objects of an image are.
PLACES = (
    pa.field("object_paths", pa.list_(pa.string())),
    pa.field("object_bytes", pa.list_(pa.int64())),
)


def objects_store(store: Store, url: str | None = None) -> Store:
    """Return the folder that the paths of objects are relative to: of the dataset, two above that of the partition, unless another is given."""
    return open_store(url or store.url.rstrip("/").rsplit("/", 2)[0])


class ObjectBody:
    """See `_stage_shards.Body`."""

    def __init__(self, store: Store, name: str, plan: ShardPlan, objects: Store) -> None:
        self._objects = objects
        self._table = Table(store.stage(name + SUFFIX), pa.schema([*plan.schema, *PLACES]))
        self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix="objects")
        self._sent: deque[Future[None]] = deque()

    def size_of(self, made: Made) -> int:
        """See `_stage_shards.Body`."""
        return sum(len(data) for _, data in made.objects)

    def write(self, made: Made) -> None:
        """See `_stage_shards.Body`."""
        for path, data in made.objects:
            self._sent.append(self._senders.submit(self._objects.write, path, data))
            if len(self._sent) > _WAITING:
                self._sent.popleft().result()
        places = ([path for path, _ in made.objects], [len(data) for _, data in made.objects])
        self._table.append(
            {
                **made.row.columns,
                **made.row.extra,
                **dict(zip((field.name for field in PLACES), places, strict=True)),
            }
        )

    def commit(self) -> tuple[ShardFile, ...]:
        """See `_stage_shards.Body`."""
        while self._sent:
            self._sent.popleft().result()
        self._senders.shutdown()
        return (self._table.commit(),)

    def discard(self) -> None:
        """See `_stage_shards.Body`. Objects stay: the next run writes the same ones over them."""
        self._senders.shutdown(cancel_futures=True)
        self._table.discard()


def write_kept(store: Store, kept: Sequence[ShardFile], objects: Store) -> None:
    """Write the annotation files that a partition keeps where readers of the published layout look for them. Idempotent."""
    for file in kept:
        name = file.name.rpartition("/")[2]
        folder = next(
            (folder for suffix, folder in _KEPT_FOLDERS.items() if name.endswith(suffix)), None
        )
        if folder is None or objects.size(folder + name) == file.bytes:
            continue
        with (
            store.open_read(file.name) as opened,
            objects.stage(folder + name, sha256=False) as staged,
        ):
            while chunk := opened.read(_CHUNK):
                staged.write(chunk)
            staged.commit()


def verify_objects(
    store: Store, record: ShardRecord, objects: Store, *, deep: bool = True
) -> Iterator[str]:
    """Say what is wrong with a group: counts and sizes; deep, also the sha256 of every image."""
    if problem := accounting_problem(record):
        yield f"shard {record.name}: the record counts {problem}"
    table = metadata_file(record)
    rows = list(read_table(store, table.name)) if table is not None else []
    successes = [row for row in rows if row["status"] == SUCCESS]
    if (len(rows), len(successes)) != (record.count, record.successes):
        yield f"shard {record.name}: {len(rows)} rows with {len(successes)} successes, expected {record.count} with {record.successes}"
    for row in successes:
        for path, size in zip(row["object_paths"], row["object_bytes"], strict=True):
            if (found := objects.size(path)) != size:
                yield f"{objects.locate(path)} has {'no' if found is None else found} bytes, expected {size}; stage again to write it"
        image = row["object_paths"][0]
        if (
            deep
            and objects.size(image) is not None
            and hashlib.sha256(objects.read(image)).hexdigest() != row["sha256"]
        ):
            yield f"{objects.locate(image)} has changed: its sha256 is another one"
