"""Parquet tables with a column of images or videos, as `datasets` writes them.

The column has bytes, or a struct of `bytes` and `path`, or paths of files beside the table. No
payload is read, except where neither a path nor a column tells its format. Keys are those of a
column `key` or `__key__`, or else the name of the file and the row.
Format: https://huggingface.co/docs/datasets/image_load#parquet
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import MissingColumn, UnreadableSource
from dataset_assets.records.training import MediaSample, TableCell
from dataset_assets.storage.parquet import translate_parquet_errors
from dataset_assets.training.caption_columns import caption_columns, split_columns
from dataset_assets.training.layout import (
    CAPTION,
    PAYLOAD_FILE,
    Claim,
    LeftOut,
    SourceOptions,
    file_sample,
    named_split,
)
from dataset_assets.training.layouts.folder import FILE_NAME_COLUMNS, METADATA
from dataset_assets.training.media import (
    HEAD_BYTES,
    SUFFIXES,
    medium_of,
    sniff_suffix,
    stem_of,
    suffix_of,
)
from dataset_assets.training.places import Place

_KEYS = ("key", "__key__")
_PATHS = (*FILE_NAME_COLUMNS, "image", "video")


class Layout:
    """Reads tables."""

    is_exclusive: ClassVar[bool] = False

    @staticmethod
    def claim(place: Place) -> Claim | None:
        tables = _tables(place)
        if not tables:
            return None
        return Claim(f"{len(tables)} Parquet files, such as {tables[0]}", frozenset(tables))

    @staticmethod
    def samples(place: Place, options: SourceOptions, left_out: LeftOut) -> Iterator[MediaSample]:
        tables = named_split(place, _tables(place), options.split)
        if not tables:
            raise UnreadableSource(f"{place.url}: expected Parquet files, got none; add some")
        yield from table_samples(place, tables, options, left_out)


def _tables(place: Place) -> list[str]:
    found = (key for key in place.files if key.lower().endswith(".parquet"))
    return [key for key in found if key.rpartition("/")[2].lower() not in METADATA]


def table_samples(
    place: Place, tables: Iterable[str], options: SourceOptions, left_out: LeftOut
) -> Iterator[MediaSample]:
    """Yield the samples of Parquet files.

    Raises:
        ShardCorrupt: a file is no Parquet file, or damaged.
        MissingColumn: a file has no column of images or videos, or none of captions.
    """
    for name in tables:
        where = place.store.locate(name)
        with place.store.open_read(name) as opened, translate_parquet_errors(where):
            table = _Table(place, name, pq.ParquetFile(opened), options)
            yield from table.samples(left_out)


class _Table:
    """One Parquet file."""

    def __init__(
        self, place: Place, name: str, file: pq.ParquetFile, options: SourceOptions
    ) -> None:
        self._place = place
        self._name = name
        self._where = place.store.locate(name)
        self._file = file
        self._options = options
        schema = file.schema_arrow
        self._payload = _payload_column(schema, options, self._where)
        self._type = schema.field(self._payload).type
        self._captions = caption_columns(
            [each for each in schema.names if each != self._payload], options, self._where
        )
        self._key = next((each for each in _KEYS if each in schema.names), None)

    def samples(self, left_out: LeftOut) -> Iterator[MediaSample]:
        numbers = count()
        for group in range(self._file.num_row_groups):
            rows = self._file.read_row_group(group, columns=self._columns(), use_threads=False)
            suffixes = self._suffixes(group)
            for values, suffix in zip(rows.to_pylist(), suffixes, strict=True):
                sample = self._sample(values, suffix, next(numbers), left_out)
                if sample is not None and self._options.wants(sample.medium):
                    yield sample

    def _columns(self) -> list[str]:
        """Name the columns to read: all but the payloads."""
        columns = [name for name in self._file.schema_arrow.names if name != self._payload]
        if pa.types.is_struct(self._type) and self._type.get_field_index("path") >= 0:
            columns.append(f"{self._payload}.path")
        elif _is_text(self._type):
            columns.append(self._payload)
        return columns

    def _suffixes(self, group: int) -> list[str]:
        """Return the suffix of the payload of each row; "" where another column tells it."""
        rows = self._file.metadata.row_group(group).num_rows
        if _is_text(self._type) or medium_of(self._payload):
            return [self._payload if medium_of(self._payload) else ""] * rows
        if pa.types.is_struct(self._type) and self._type.get_field_index("path") >= 0:
            paths = self._file.read_row_group(group, columns=[f"{self._payload}.path"])
            values = paths.column(0).to_pylist()
            found = [suffix_of((value or {}).get("path") or "") for value in values]
            if all(map(medium_of, found)):
                return found
        return self._sniffed(group)

    def _sniffed(self, group: int) -> list[str]:
        values = self._file.read_row_group(group, columns=[self._payload]).column(0)
        if pa.types.is_struct(self._type):
            values = values.combine_chunks().field("bytes")
        heads = (
            bytes(value.as_buffer()[:HEAD_BYTES]) if value.is_valid else b"" for value in values
        )
        return [sniff_suffix(head) for head in heads]

    def _sample(
        self, values: dict[str, Any], suffix: str, row: int, left_out: LeftOut
    ) -> MediaSample | None:
        payload = values.pop(self._payload, None)
        texts, columns = split_columns(values, self._captions)
        where = f"row {row} of {self._name}"
        if not texts:
            left_out.add(CAPTION, where)
            return None
        path = payload.get("path") if isinstance(payload, dict) else payload
        if _is_text(self._type) or (isinstance(path, str) and self._is_beside(path)):
            return self._beside(path, texts, columns, where, left_out)
        if not medium_of(suffix):
            left_out.add("an image or video in a known format in each row", where)
            return None
        key = str(values[self._key]) if self._key and values[self._key] else ""
        name = key or f"{stem_of(self._name)}/{row:07d}"
        cell = TableCell(self._payload, row)
        return MediaSample(
            name, medium_of(suffix), self._where, suffix, cell=cell, captions=texts, columns=columns
        )

    def _is_beside(self, path: str) -> bool:
        folder = self._name.rpartition("/")[0]
        return (f"{folder}/{path}" if folder else path) in self._place.files

    def _beside(
        self,
        path: str | None,
        texts: dict[str, str],
        columns: dict[str, object],
        where: str,
        left_out: LeftOut,
    ) -> MediaSample | None:
        key = self._place.resolve(path, self._name) if path else ""
        if key not in self._place.files or not medium_of(suffix_of(key)):
            left_out.add(PAYLOAD_FILE, f"{path} ({where})")
            return None
        return file_sample(self._place, key, stem_of(key), texts, columns)


def _payload_column(schema: pa.Schema, options: SourceOptions, where: str) -> str:
    """Return the column of images or videos.

    Raises:
        MissingColumn: there is none, or several and no option says which.
    """
    available = {field.name: field.type for field in schema}
    if options.payload_column is not None:
        if options.payload_column in available:
            return options.payload_column
        raise MissingColumn(
            f"{where}: expected the column {options.payload_column!r}, got "
            f"{', '.join(available)}; correct payload_column"
        )
    payloads = [name for name, kind in available.items() if _has_bytes(kind)]
    paths = [name for name in _PATHS if name in available and _is_text(available[name])]
    found = payloads or paths
    if len(found) > 1:
        names = {options.medium, f"{options.medium}_file_name", *SUFFIXES.get(options.medium, ())}
        found = [name for name in found if name in names] or found
    if len(found) != 1:
        got = " and ".join(found) if found else f"the columns {', '.join(available)}"
        raise MissingColumn(
            f"{where}: expected one column of images or videos, got {got}; set payload_column"
        )
    return found[0]


def _has_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
