"""A folder of files: `00000/KEY.jpg`, `00000/KEY.json`, `00000/KEY.txt` of every success, and `00000.parquet` with all rows.

For looking at small sets: every sample is two or three objects. Objects can not be staged by the thousand, so the folder fills up before the shard is
committed; what is in it counts only once the shard's record exists. Files are not synced one by one: the record holds the size of them all, so a
shard of which a power failure took bytes does not agree with its record and is made again.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import ClassVar

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards._text import to_json, utf8
from dataset_assets.shards.naming import RESERVED, is_hidden, member_extension
from dataset_assets.shards.sidecar import Sidecar
from dataset_assets.shards.writer import Sample, WriterOptions, refuse_parts
from dataset_assets.storage.store import ObjectInfo, Store


class Writer:
    """See `_base.Writer`."""

    sidecar: ClassVar[bool] = True
    suffix: ClassVar[str | None] = ""

    def __init__(self, store: Store, options: WriterOptions) -> None:
        refuse_parts(options, "files")
        self._store, self._name = store, options.name
        self._has_caption = options.has_caption
        self._bytes = 0
        self._committed = False
        store.delete_tree(options.name)  # what an attempt left that was killed
        self._sidecar = Sidecar(store, options)

    def write(self, row: Row) -> None:
        """See `_base.Writer`."""
        if row.payload is not None:
            self._put(row.key, member_extension(row.extension), row.payload)
            self._put(row.key, "json", to_json(row.columns))
            if self._has_caption:
                self._put(row.key, "txt", utf8("" if row.caption is None else row.caption))
        self._sidecar.add(row)

    def _put(self, key: str, extension: str, data: bytes) -> None:
        self._store.write(f"{self._name}/{key}.{extension}", data, durable=False)
        self._bytes += len(data)

    def close(self) -> None:
        """See `_base.Writer`."""
        self._sidecar.close()

    def commit(self) -> tuple[ShardFile, ...]:
        """See `_base.Writer`."""
        files = ShardFile(self._name, self._bytes), self._sidecar.commit()
        self._committed = True
        return files

    def discard(self) -> None:
        """See `_base.Writer`."""
        self._sidecar.discard()
        if not self._committed:
            self._store.delete_tree(self._name)

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[Sample]:
        """See `_base.Writer`."""
        objects = (
            info for info in store.list(f"{file.name}/", recursive=False) if not is_hidden(info.key)
        )
        for key, group in groupby(
            objects, key=lambda info: info.key.rpartition("/")[2].partition(".")[0]
        ):
            yield _sample(store, file.name, key, list(group))


def _sample(store: Store, folder: str, key: str, objects: list[ObjectInfo]) -> Sample:
    extensions = [info.key.rpartition("/")[2].partition(".")[2] for info in objects]
    payloads = [extension for extension in extensions if extension not in RESERVED]
    if len(payloads) != 1 or "json" not in extensions:
        names = ", ".join(info.key for info in objects)
        raise ShardCorrupt(
            f"{folder}: sample {key} should have one payload and one {key}.json, but has {names}"
        )
    return Sample(key, payloads[0], store.read(f"{folder}/{key}.{payloads[0]}"), None)
