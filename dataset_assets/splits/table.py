"""Parquet tables of a split, which `datasets` 2.14 and later read as images without a script.

This needs the old name of lists in the metadata of the schema: 4.x itself writes `List`, which 3.x
and earlier refuse. Columns are the payload (`image`, or `video` with `n_frames`, or `file` with
`extension`), `key`, then the metadata of the source. Row groups are bounded, because a reader that
streams holds one in memory. Pages are cut by content, so that an edited table shares most of its
bytes with the previous one on the Hub. Equal rows give equal bytes with one version of pyarrow.
Format: https://parquet.apache.org/docs/file-format/,
https://huggingface.co/docs/datasets/about_dataset_features
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.records.splits import ArchiveFile, SourceSample
from dataset_assets.splits.plan import ArchiveOptions, member_names
from dataset_assets.storage.parquet import ParquetSink, leaf_paths
from dataset_assets.storage.store import Store

#: Bounds the memory of small rows that wait for their row group.
GROUP_ROWS = 10_000
#: How `datasets` stores an image.
_STORED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_IMAGE = {"_type": "Image"}
_FILE = {
    "bytes": {"dtype": "binary", "_type": "Value"},
    "path": {"dtype": "string", "_type": "Value"},
}
#: media -> name, type and feature of the payload columns
_PAYLOADS: dict[str, list[tuple[str, pa.DataType, Any]]] = {
    "image": [("image", _STORED, _IMAGE)],
    "frames": [
        ("video", pa.list_(_STORED), {"feature": _IMAGE, "_type": "Sequence"}),
        ("n_frames", pa.int32(), None),
    ],
    "file": [("file", _STORED, _FILE), ("extension", pa.string(), None)],
}
_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
#: Arrow's name of a type -> its name in `datasets`
_VALUES = {
    "string": "string",
    "bool": "bool",
    "float": "float32",
    "double": "float64",
    **{name: name for name in _INTEGERS},
}


def features_of(media: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the features of a table in column order, in the form that `datasets` 2.14 to 5.2 read.

    Args:
        media: as in `SplitManifest.media`.
        columns: name and Arrow type of the metadata columns.

    Raises:
        ConfigurationError: a metadata column has a reserved name, or an unknown type.
    """
    fields = _fields(media, columns)
    special = {name: feature for name, _, feature in _PAYLOADS[media] if feature is not None}
    return {
        field.name: special.get(field.name) or {"dtype": _VALUES[str(field.type)], "_type": "Value"}
        for field in fields
    }


def table_schema(media: str, columns: Mapping[str, str]) -> pa.Schema:
    """Return the columns of a table.

    Args:
        media: as in `SplitManifest.media`.
        columns: name and Arrow type of the metadata columns.

    Raises:
        ConfigurationError: a metadata column has a reserved name, or an unknown type.
    """
    info = {"info": {"features": features_of(media, columns)}}
    return pa.schema(_fields(media, columns), metadata={"huggingface": json.dumps(info)})


class TableWriter:
    """A table on its way into a store, invisible until `commit`.

    A context manager that discards the table unless it was committed.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        media: str,
        columns: Mapping[str, str],
        options: ArchiveOptions,
    ) -> None:
        self._schema = table_schema(media, columns)
        self._media = media
        self._row_group_bytes = options.row_group_bytes
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._count = 0
        self._sink = ParquetSink(store.stage(name), self._schema, **_encoding(self._schema))

    def add(self, sample: SourceSample, payloads: Sequence[bytes]) -> None:
        """Append a row.

        Raises:
            ConfigurationError: a value does not have the type of its column, or a sample has
                several payloads where a row holds one.
            DiskFull, StorageError: the store refuses the bytes.
        """
        payload_columns = _payload_values(self._media, sample, payloads)
        row = {**sample.columns, "key": sample.key, **payload_columns}
        size = sum(len(payload) for payload in payloads)
        if self._bytes + size > self._row_group_bytes or len(self._rows) >= GROUP_ROWS:
            self._flush()
        self._rows.append(row)
        self._bytes += size
        self._count += 1

    def commit(self) -> tuple[int, str, int]:
        """Finish the table and make it visible. Idempotent.

        Returns:
            Its size in bytes, its sha256 (hex) and the number of its rows.
        """
        self._flush()
        self._sink.commit()
        return self._sink.staged.bytes, self._sink.staged.sha256, self._count

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._rows = []
        self._sink.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def _flush(self) -> None:
        if self._rows:
            arrays = [_array(self._rows, field) for field in self._schema]
            self._rows = []
            self._bytes = 0
            self._sink.write(pa.Table.from_arrays(arrays, schema=self._schema))


def check_table(store: Store, file: ArchiveFile) -> list[str]:
    """List the problems of a committed table; an empty list if it agrees with its record."""
    try:
        with store.open_read(file.name) as opened:
            return list(_problems(opened, file))
    except ObjectMissing:
        return [f"{file.name} is missing"]


def _problems(opened: Any, file: ArchiveFile) -> Iterator[str]:
    found = hashlib.file_digest(opened, "sha256").hexdigest()
    size = opened.seek(0, io.SEEK_END)
    if size != file.bytes:
        yield f"{file.name}: expected {file.bytes} bytes, got {size}"
    elif found != file.sha256:
        yield f"{file.name} has changed: expected sha256 {file.sha256}, got {found}"
    opened.seek(0)
    try:
        metadata = pq.read_metadata(opened)
    except (pa.ArrowException, OSError) as exc:
        yield f"{file.name}: not a readable Parquet file: {exc}"
        return
    if not metadata.num_rows == file.samples == file.members:
        yield f"{file.name}: expected {file.samples} rows, got {metadata.num_rows}"
    if b"huggingface" not in (metadata.metadata or {}):
        yield f"{file.name}: expected the features of `datasets` in its metadata, got none"


def _fields(media: str, columns: Mapping[str, str]) -> list[pa.Field]:
    checks.one_of("media", media, _PAYLOADS)
    own = {name: kind for name, kind, _ in _PAYLOADS[media]} | {"key": pa.string()}
    for name, kind in columns.items():
        if name in own and name != "n_frames":
            raise ConfigurationError(
                f"column {name!r}: expected another name than those of the columns that the table "
                "adds; rename it or leave it out"
            )
        checks.one_of(f"type of column {name!r}", kind, _VALUES)
    others = {name: pa.type_for_alias(kind) for name, kind in columns.items() if name not in own}
    return [pa.field(name, kind) for name, kind in {**own, **others}.items()]


def _payload_values(media: str, sample: SourceSample, payloads: Sequence[bytes]) -> dict[str, Any]:
    names = [name.rpartition("/")[2] for name in member_names(sample, "frames")]
    stored = [
        {"bytes": payload, "path": name} for name, payload in zip(names, payloads, strict=True)
    ]
    if media == "frames":
        return {"video": stored, "n_frames": len(stored)}
    if len(stored) != 1:
        raise ConfigurationError(
            f"sample {sample.key!r}: expected one payload for a row of a table, got {len(stored)}"
        )
    if media == "image":
        return {"image": stored[0]}
    return {"file": stored[0], "extension": sample.parts[0].rpartition(".")[2]}


def _array(rows: Sequence[dict[str, Any]], field: pa.Field) -> pa.Array:
    name = field.name
    values = [row.get(name) for row in rows]
    try:
        if pa.types.is_integer(field.type) and any(isinstance(value, float) for value in values):
            raise TypeError("a float")  # Arrow would truncate it
        return pa.array(values, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        if len(rows) > 1:
            for row in rows:
                _array([row], field)  # raises for the row at fault, so that the error names it
        key = rows[0]["key"]
        raise ConfigurationError(
            f"column {name!r} of sample {key!r}: expected a value of type {field.type}, "
            f"got another: {exc}"
        ) from exc


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """Return options of the Parquet writer.

    A dictionary or statistics of payloads would only copy their bytes.
    """
    described = [path for path in leaf_paths(schema) if not path.endswith(".bytes")]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": described,
        "write_statistics": described,
        "use_content_defined_chunking": True,
        "write_page_index": True,
    }
