"""Samples of committed tars, each read by itself.

Where they are (tar, offset, length) and their labels are in memory, nothing else is. Sidecars
record that for shard sets; splits have none, so the headers of their tars are read.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, BinaryIO, NoReturn

import numpy as np
import pyarrow as pa

from dataset_assets.archives.tar_header import SPLIT
from dataset_assets.archives.tar_reader import TarEntry, list_tar
from dataset_assets.errors import ConfigurationError, MissingColumn, ShardCorrupt
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.mlx.sources import RawSample, index_blocks
from dataset_assets.loaders.samples.index import BYTES, OFFSET, check_format, read_sidecars
from dataset_assets.records.shards import ShardFile
from dataset_assets.records.splits import ArchiveFile
from dataset_assets.shards.commits import read_manifest
from dataset_assets.splits.versions import load_split, read_pointer, version_store
from dataset_assets.storage.store import Store


class TarSource:
    """Images in tars, with random access: a `StreamSource`.

    Args:
        store: folder of the tars.
        names: names of the tars.
        index: a row per sample: `shard` (position in `names`), offset and length of the image in
            bytes, and `label` if there are labels.
        options: seed of the order.
    """

    def __init__(
        self, store: Store, names: list[str], index: pa.Table, options: StreamOptions
    ) -> None:
        self._store = store
        self._names = names
        self._seed = options.seed
        self._tars = index["shard"].to_numpy()
        self._offsets = index[OFFSET].to_numpy()
        self._lengths = index[BYTES].to_numpy()
        self._labels: Any = None
        if "label" in index.column_names:
            self._labels = index["label"].combine_chunks()
        self.has_labels = self._labels is not None

    def blocks(self, epoch: int, *, shuffle: bool) -> Iterator[Any]:
        """Yield lists of sample numbers."""
        return index_blocks(len(self._tars), shuffle=shuffle, seed=self._seed, epoch=epoch)

    def read(self, block: Any) -> list[RawSample]:
        """Read the samples of a block, one request each.

        Raises:
            ShardCorrupt: a tar is too short.
            ObjectMissing, StorageError: a tar cannot be read.
        """
        labels = [None] * len(block)
        if self._labels is not None:
            labels = self._labels.take(pa.array(block)).to_pylist()
        return [self._sample(index, label) for index, label in zip(block, labels, strict=True)]

    def _sample(self, index: int, label: Any) -> RawSample:
        name = self._names[self._tars[index]]
        offset = int(self._offsets[index])
        length = int(self._lengths[index])
        payload = self._store.read(name, offset, length)
        if len(payload) != length:
            raise ShardCorrupt(
                f"{self._store.locate(name)} ends before byte {offset + length}: run "
                "`dataset-assets verify` on its folder"
            )
        return RawSample(f"{name} at byte {offset}", payload, label)


def open_tars(store: Store, split: str | None, options: StreamOptions) -> TarSource:
    """Return the source of a shard set, or of one split of a folder of splits.

    Raises:
        ObjectMissing: it is neither.
        ConfigurationError: its samples cannot be read one by one, or are not images; or there is no
            such split.
        MissingColumn: there is no such column of labels.
        ShardCorrupt: a file differs from its record.
    """
    if read_pointer(store) is None:
        return _open_shards(store, split, options)
    return _open_split(store, split, options)


def _open_shards(store: Store, split: str | None, options: StreamOptions) -> TarSource:
    if split is not None:
        raise ConfigurationError(
            f"split: {store.url} is a shard set and has no split {split!r}; leave it out, or make "
            "splits with `dataset-assets split`"
        )
    manifest = read_manifest(store)
    check_format(store, manifest)
    files = [record.files[0] for record in manifest.shards if record.files]
    _check_sizes(store, files)
    columns = [options.label_key] if options.label_key is not None else []
    index = read_sidecars(store, manifest, columns)
    if options.label_key in index.column_names:
        at = index.column_names.index(options.label_key)
        index = index.set_column(at, "label", index[options.label_key])
    elif files and options.label_key not in (None, "label"):
        found = read_sidecars(store, manifest).column_names
        _refuse_label_key(store, options, found)
    return TarSource(store, [file.name for file in files], index, options)


def _open_split(store: Store, split: str | None, options: StreamOptions) -> TarSource:
    manifest = load_split(store)
    folder = version_store(store, manifest)
    if split not in manifest.splits:
        raise ConfigurationError(
            f"split: expected one of {', '.join(manifest.splits)}, got {split!r}"
        )
    if manifest.media != "image":
        raise ConfigurationError(f"{store.url}: expected images, got {manifest.media!r}")
    files = [file for file in manifest.files if file.split == split and file.kind.startswith("tar")]
    if any(file.kind != "tar" for file in files) or (not files and manifest.splits[split].samples):
        raise ConfigurationError(
            f"{store.url} has no uncompressed tars, whose samples can be read one by one: split "
            "with archives and compression 'none'"
        )
    label_key = options.label_key if options.label_key in manifest.columns else None
    if label_key is None and options.label_key not in (None, "label"):
        _refuse_label_key(store, options, manifest.columns)
    _check_sizes(folder, files)
    schema = pa.schema([("shard", pa.int32()), (OFFSET, pa.int64()), (BYTES, pa.int64())])
    if label_key is not None:
        schema = schema.append(pa.field("label", manifest.columns[label_key]))
    tables = [schema.empty_table()]
    for number, file in enumerate(files):
        tables.append(_index_archive(folder, number, file, label_key, schema))
    index = pa.concat_tables(tables).combine_chunks()
    return TarSource(folder, [file.name for file in files], index, options)


def _refuse_label_key(store: Store, options: StreamOptions, found: Iterable[str]) -> NoReturn:
    raise MissingColumn(
        f"{store.url} has no column {options.label_key!r} but {', '.join(found)}; name one with "
        "label_key"
    )


def _check_sizes(store: Store, files: Iterable[ShardFile | ArchiveFile]) -> None:
    for file in files:
        size = store.size(file.name)
        if size != file.bytes:
            raise ShardCorrupt(
                f"{store.locate(file.name)} has {size} bytes, expected {file.bytes}: "
                "create it again"
            )


def _index_archive(
    store: Store, number: int, file: ArchiveFile, label_key: str | None, schema: pa.Schema
) -> pa.Table:
    """Return the index of an archive from its headers, and labels from the JSON beside images."""
    images: list[TarEntry] = []
    labels: list[Any] = []
    where = store.locate(file.name)
    try:
        with store.open_read(file.name) as opened:
            for _, entries in groupby(list_tar(opened, where, SPLIT), key=_sample_key):
                members = {entry.name.rpartition(".")[2]: entry for entry in entries}
                metadata = members.pop("json", None)
                images += members.values()
                if label_key is not None:
                    labels.append(_read_label(opened, metadata, label_key))
    except (ConfigurationError, ShardCorrupt):
        raise
    except (ValueError, AttributeError) as exc:
        raise ShardCorrupt(f"{where}: {exc}; split again to create it") from exc
    if len(images) != file.samples:
        raise ShardCorrupt(
            f"{where} has {len(images)} images, expected {file.samples}: split again to create it"
        )
    columns: list[Any] = [
        np.full(len(images), number, np.int32),
        [entry.offset for entry in images],
        [entry.bytes for entry in images],
    ]
    if label_key is not None:
        columns.append(labels)
    return pa.table(columns, schema=schema)


def _sample_key(entry: TarEntry) -> str:
    folder, slash, name = entry.name.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _read_label(opened: BinaryIO, metadata: TarEntry | None, label_key: str) -> Any:
    if metadata is None:
        raise ConfigurationError(
            f"no metadata in the archive, so no {label_key!r}: split with layout 'webdataset', or "
            "give label_key=None"
        )
    opened.seek(metadata.offset)
    return json.loads(opened.read(metadata.bytes)).get(label_key)
