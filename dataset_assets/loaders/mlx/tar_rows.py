"""Samples of committed tars, each read by itself. Where they lie (tar, offset, length) and their labels are in memory, nothing else is.

Of a shard set the sidecars say it; of a split the headers of its tars do, since they have no sidecar.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ConfigurationError, MissingColumn, ShardCorrupt
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.mlx.rows import RawSample, index_blocks
from dataset_assets.records.shards import ShardFile, ShardRecord
from dataset_assets.records.splits import ArchiveFile
from dataset_assets.shards.commits import read_manifest
from dataset_assets.shards.reading import metadata_file
from dataset_assets.shards.writer import INDEX
from dataset_assets.splits.versions import load_split, read_pointer, version_store
from dataset_assets.storage.store import Store

_OFFSET, _BYTES = (field.name for field in INDEX)


@dataclass(slots=True)
class _Index:
    """Where samples lie, tar by tar."""

    names: list[str] = field(default_factory=list)
    tars: list[pa.Array] = field(default_factory=list)
    places: list[Any] = field(default_factory=list)  # (offset, length) per sample, bytes
    labels: list[Any] = field(default_factory=list)

    def add(self, name: str, places: Any, labels: Any) -> None:
        """Add the samples of a tar."""
        self.tars.append(np.full(len(places), len(self.names), np.int32))
        self.names.append(name)
        self.places.append(np.asarray(places, np.int64).reshape(-1, 2))
        self.labels.append(labels)


class TarSource:
    """See `_rows.Source`."""

    def __init__(self, store: Store, index: _Index, options: StreamOptions) -> None:
        self._store, self._names, self._seed = store, index.names, options.seed
        self._tars = np.concatenate([np.zeros(0, np.int32), *index.tars])
        self._places = np.concatenate([np.zeros((0, 2), np.int64), *index.places])
        self._labels = (
            pa.chunked_array(index.labels).combine_chunks()
            if index.labels and index.labels[0] is not None
            else None
        )
        self.has_labels = self._labels is not None

    def blocks(self, epoch: int, *, shuffle: bool) -> Iterator[Any]:
        """See `_rows.Source`."""
        return index_blocks(len(self._tars), shuffle=shuffle, seed=self._seed, epoch=epoch)

    def read(self, block: Any) -> list[RawSample]:
        """See `_rows.Source`."""
        labels = (
            [None] * len(block)
            if self._labels is None
            else self._labels.take(pa.array(block)).to_pylist()
        )
        return [self._sample(index, label) for index, label in zip(block, labels, strict=True)]

    def _sample(self, index: int, label: Any) -> RawSample:
        name, (offset, length) = self._names[self._tars[index]], self._places[index].tolist()
        payload = self._store.read(name, offset, length)
        if len(payload) != length:
            raise ShardCorrupt(
                f"{self._store.locate(name)} ends before byte {offset + length}: run `dataset-assets verify` on its folder"
            )
        return RawSample(f"{name} at byte {offset}", payload, label)


def open_tars(store: Store, split: str | None, options: StreamOptions) -> TarSource:
    """Return the source of a shard set, or of one split of a folder of splits.

    Raises:
        ObjectMissing: it is neither.
        ConfigurationError: its samples can not be read one by one, or are no images; there is no such split or column.
        ShardCorrupt: a file is not what its record says.
    """
    return (
        _open_shards(store, split, options)
        if read_pointer(store) is None
        else _open_split(store, split, options)
    )


def _open_shards(store: Store, split: str | None, options: StreamOptions) -> TarSource:
    if split is not None:
        raise ConfigurationError(
            f"split: {store.url} is a shard set and has no split {split!r}; leave it out, or make splits with `dataset-assets split`"
        )
    manifest = read_manifest(store)
    if manifest.output_format != "webdataset":
        raise ConfigurationError(
            f"{store.url}: expected shards of the format 'webdataset', whose samples can be read one by one, came {manifest.output_format!r}"
        )
    index = _Index()
    for record in manifest.shards:
        if record.files:
            _check_size(store, record.files[0])
            index.add(record.files[0].name, *_sidecar(store, record, options))
    return TarSource(store, index, options)


def _sidecar(store: Store, record: ShardRecord, options: StreamOptions) -> tuple[Any, Any]:
    """Return the (offset, length) of the samples of a shard, and their labels."""
    file = metadata_file(record)
    if file is None:
        raise ShardCorrupt(
            f"shard {record.name} of {store.url} has no {record.name}.parquet: download it again"
        )
    with store.open_read(file.name) as opened:
        try:
            return _columns(pq.ParquetFile(opened), file.name, options)
        except (pa.ArrowException, OSError) as exc:
            raise ShardCorrupt(
                f"{store.locate(file.name)}: not a readable parquet file: {exc}"
            ) from exc


def _columns(table: pq.ParquetFile, name: str, options: StreamOptions) -> tuple[Any, Any]:
    found = table.schema_arrow.names
    if not {_OFFSET, _BYTES}.issubset(found):
        raise ConfigurationError(
            f"{name} has no columns {_OFFSET!r} and {_BYTES!r}: download with layout='dataset_assets' to read samples one by one"
        )
    label = options.label_key if options.label_key in found else None
    if label is None and options.label_key not in (None, "label"):
        raise MissingColumn(
            f"{name} has no column {options.label_key!r} but {', '.join(found)}; name one with label_key"
        )
    rows = table.read(columns=[_OFFSET, _BYTES, *([label] if label else [])])
    rows = rows.filter(rows[_OFFSET].is_valid())
    places: Any = (
        np.stack([rows[column].to_numpy() for column in (_OFFSET, _BYTES)], axis=1)
        if len(rows)
        else []
    )
    return places, rows[label].combine_chunks() if label else None


def _open_split(store: Store, split: str | None, options: StreamOptions) -> TarSource:
    manifest = load_split(store)
    folder = version_store(store, manifest)
    if split not in manifest.splits:
        raise ConfigurationError(
            f"split: expected one of {', '.join(manifest.splits)}, came {split!r}"
        )
    if manifest.media != "image":
        raise ConfigurationError(f"{store.url}: expected images, came {manifest.media!r}")
    files = [file for file in manifest.files if file.split == split and file.kind.startswith("tar")]
    if any(file.kind != "tar" for file in files) or (not files and manifest.splits[split].samples):
        raise ConfigurationError(
            f"{store.url} has no uncompressed tars, whose samples can be read one by one: split with archives and compression 'none'"
        )
    index = _Index()
    has_labels = options.label_key in manifest.columns
    if not has_labels and options.label_key not in (None, "label"):
        raise MissingColumn(
            f"{store.url} has no column {options.label_key!r} but {', '.join(manifest.columns)}; name one with label_key"
        )
    for file in files:
        _check_size(folder, file)
        places, labels = _headers(folder, file, options.label_key if has_labels else None)
        index.add(
            file.name,
            places,
            None if labels is None else pa.array(labels, manifest.columns[str(options.label_key)]),
        )
    return TarSource(folder, index, options)


def _check_size(store: Store, file: ShardFile | ArchiveFile) -> None:
    size = store.size(file.name)
    if size != file.bytes:
        raise ShardCorrupt(
            f"{store.locate(file.name)} has {size} bytes, expected {file.bytes}: make it again"
        )


def _headers(store: Store, file: ArchiveFile, label_key: str | None) -> tuple[Any, Any]:
    """Return the (offset, length) of the payloads of an archive from its headers, and their labels from the JSON beside each."""
    places: list[tuple[int, int]] = []
    labels: list[Any] = []
    try:
        with store.open_read(file.name) as opened, tarfile.open(fileobj=opened, mode="r:") as tar:
            for _, members in groupby(tar, key=_key):
                found = {member.name.rpartition(".")[2]: member for member in members}
                metadata = found.pop("json", None)
                places += [(member.offset_data, member.size) for member in found.values()]
                labels += [_label(opened, metadata, label_key)] if label_key else []
    except ConfigurationError:
        raise
    except (tarfile.TarError, ValueError, AttributeError) as exc:
        raise ShardCorrupt(f"{store.locate(file.name)}: {exc}; split again to make it") from exc
    if len(places) != file.samples:
        raise ShardCorrupt(
            f"{store.locate(file.name)} has {len(places)} payloads, expected {file.samples}: split again to make it"
        )
    return places, labels if label_key else None


def _key(member: tarfile.TarInfo) -> str:
    folder, slash, name = member.name.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _label(opened: BinaryIO, metadata: tarfile.TarInfo | None, label_key: str) -> Any:
    if metadata is None:
        raise ConfigurationError(
            f"no metadata in the archive, so no {label_key!r}: split with layout 'webdataset', or give label_key=None"
        )
    opened.seek(metadata.offset_data)
    return json.loads(opened.read(metadata.size)).get(label_key)
