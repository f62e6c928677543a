"""A folder of files: `00000/KEY.jpg`, `00000/KEY.json` and `00000/KEY.txt` of every success.

`00000.parquet` beside the folder has all rows. This format is for looking at small sets: each
sample is two or three objects. Objects cannot be staged by the thousand, so the folder fills up
before the shard is committed; its files count only once the record of the shard exists. Files are
not synced individually. The record holds their total size, so a shard that lost bytes in a power
failure disagrees with its record and is made again.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import ClassVar

from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards._text import to_json, utf8
from dataset_assets.shards.naming import RESERVED, is_hidden, member_extension
from dataset_assets.shards.sidecar import Sidecar
from dataset_assets.shards.writer import StoredSample, WriterOptions, refuse_parts
from dataset_assets.storage.store import ObjectInfo, Store


class Writer:
    """Writes each sample as separate objects."""

    sidecar: ClassVar[bool] = True
    suffix: ClassVar[str | None] = ""

    def __init__(self, store: Store, options: WriterOptions) -> None:
        refuse_parts(options, "files")
        self._store = store
        self._name = options.name
        self._has_caption = options.has_caption
        self._bytes = 0
        self._committed = False
        store.delete_tree(options.name)  # files of an attempt that was killed
        self._sidecar = Sidecar(store, options)

    def write(self, row: Row) -> None:
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
        self._sidecar.close()

    def commit(self) -> tuple[ShardFile, ...]:
        files = ShardFile(self._name, self._bytes), self._sidecar.commit()
        self._committed = True
        return files

    def discard(self) -> None:
        self._sidecar.discard()
        if not self._committed:
            self._store.delete_tree(self._name)

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[StoredSample]:
        listed = store.list(f"{file.name}/", recursive=False)
        objects = (info for info in listed if not is_hidden(info.key))
        for key, group in groupby(objects, key=_key_of):
            yield _sample(store, file.name, key, list(group))


def _key_of(info: ObjectInfo) -> str:
    return info.key.rpartition("/")[2].partition(".")[0]


def _sample(store: Store, folder: str, key: str, objects: list[ObjectInfo]) -> StoredSample:
    extensions = [info.key.rpartition("/")[2].partition(".")[2] for info in objects]
    payloads = [extension for extension in extensions if extension not in RESERVED]
    if len(payloads) != 1 or "json" not in extensions:
        names = ", ".join(info.key for info in objects)
        raise ShardCorrupt(
            f"{folder}: expected one payload and one {key}.json for sample {key}, got {names}"
        )
    return StoredSample(key, payloads[0], store.read(f"{folder}/{key}.{payloads[0]}"), None)
