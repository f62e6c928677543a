"""Parquet tables of a split, which every `datasets` from 2.14 on reads as images without a script or a card.

That needs the old name of lists in the schema's metadata: 4.x itself writes `List`, which 3.x and earlier refuse. Columns are the payload (`image`,
or `video` with `n_frames`, or `file` with `extension`), `key`, then the metadata of the source. Row groups are bounded, because a reader that
streams holds one in memory; pages are cut by content, so an edited table shares most of its bytes with the one before on the Hub.
Equal rows give equal bytes with one version of pyarrow.
Format: https://parquet.apache.org/docs/file-format/, https://huggingface.co/docs/datasets/about_dataset_features
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.records.splits import ArchiveFile, SourceSample
from dataset_assets.splits.plan import ArchiveOptions, member_names
from dataset_assets.storage.sink import Sink
from dataset_assets.storage.store import Store

#: Bounds what small rows cost while they wait for their row group.
GROUP_ROWS = 10_000
_CHUNK = 1 << 20
_STORED = pa.struct(
    [("bytes", pa.binary()), ("path", pa.string())]
)  # how `datasets` stores an image
_IMAGE = {"_type": "Image"}
_FILE = {
    "bytes": {"dtype": "binary", "_type": "Value"},
    "path": {"dtype": "string", "_type": "Value"},
}
_PAYLOADS: dict[str, list[tuple[str, pa.DataType, Any]]] = {
    "image": [("image", _STORED, _IMAGE)],
    "frames": [
        ("video", pa.list_(_STORED), {"feature": _IMAGE, "_type": "Sequence"}),
        ("n_frames", pa.int32(), None),
    ],
    "file": [("file", _STORED, _FILE), ("extension", pa.string(), None)],
}
_INTEGERS = {
    f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
#: Arrow's name of a type, and that of `datasets`.
_VALUES = {"string": "string", "bool": "bool", "float": "float32", "double": "float64", **_INTEGERS}


def features_of(media: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the features of a table as `datasets` writes them down, in column order, in the form that 2.14 to 5.2 read.

    Raises:
        ConfigurationError: see `table_schema`.
    """
    fields = _fields(media, columns)
    special = {name: feature for name, _, feature in _PAYLOADS[media] if feature is not None}
    return {
        field.name: special.get(field.name) or {"dtype": _VALUES[str(field.type)], "_type": "Value"}
        for field in fields
    }


def table_schema(media: str, columns: Mapping[str, str]) -> pa.Schema:
    """Return the columns of a table.

    Raises:
        ConfigurationError: a metadata column has the name of another one, or an unknown type.
    """
    info = {"info": {"features": features_of(media, columns)}}
    return pa.schema(_fields(media, columns), metadata={"huggingface": json.dumps(info)})


class TableWriter:
    """A table on its way into a store, invisible until `commit`. A context manager that discards unless committed."""

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
        self._bytes = self._count = 0
        self._closed = False
        self._staged = store.stage(name)
        self._sink = Sink(self._staged)
        with ExitStack() as undo:
            undo.enter_context(self._staged)
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._sink, mode="w"), self._schema, **_encoding(self._schema)
            )
            undo.pop_all()

    def add(self, sample: SourceSample, payloads: Sequence[bytes]) -> None:
        """Append a row.

        Raises:
            ConfigurationError: a value is not of its column's type, or the sample has not one payload where a row holds one.
            DiskFull, StorageError: the store refuses the bytes.
        """
        row = {
            **sample.columns,
            "key": sample.key,
            **_payload_values(self._media, sample, payloads),
        }
        size = sum(len(payload) for payload in payloads)
        if self._bytes + size > self._row_group_bytes or len(self._rows) >= GROUP_ROWS:
            self._flush()
        self._rows.append(row)
        self._bytes += size
        self._count += 1

    def commit(self) -> tuple[int, str, int]:
        """Finish the table and make it visible; return its bytes, sha256 and number of rows. Idempotent."""
        if not self._closed:
            self._flush()
            self._closed = True
            self._writer.close()
        self._staged.commit()
        return self._staged.bytes, self._staged.sha256, self._count

    def discard(self) -> None:
        """Remove what was written, unless committed. Idempotent."""
        self._rows = []
        self._sink.drop()  # closing the parquet writer writes a footer
        if not self._closed:
            self._closed = True
            self._writer.close()
        self._staged.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def _flush(self) -> None:
        if self._rows:
            arrays = [_array(self._rows, field) for field in self._schema]
            self._rows, self._bytes = [], 0
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def check_table(store: Store, file: ArchiveFile) -> list[str]:
    """List what is wrong with a committed table, in sentences that name it; [] when it is what its record says."""
    try:
        with store.open_read(file.name) as opened:
            return list(_problems(opened, file))
    except ObjectMissing:
        return [f"{file.name} is missing"]


def _problems(opened: Any, file: ArchiveFile) -> Iterator[str]:
    digest, size = hashlib.sha256(), 0
    while chunk := opened.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    if size != file.bytes:
        yield f"{file.name} has {size} bytes, expected {file.bytes}"
    elif digest.hexdigest() != file.sha256:
        yield f"{file.name} has changed: sha256 {digest.hexdigest()}, expected {file.sha256}"
    opened.seek(0)
    try:
        metadata = pq.read_metadata(opened)
    except (pa.ArrowException, OSError) as exc:
        yield f"{file.name}: not a readable parquet file: {exc}"
        return
    if not metadata.num_rows == file.samples == file.members:
        yield f"{file.name} has {metadata.num_rows} rows, expected {file.samples}"
    if b"huggingface" not in (metadata.metadata or {}):
        yield f"{file.name} does not say which features it has"


def _fields(media: str, columns: Mapping[str, str]) -> list[pa.Field]:
    if media not in _PAYLOADS:
        raise ConfigurationError(f"media: expected one of {', '.join(_PAYLOADS)}, got {media!r}")
    own = {name: kind for name, kind, _ in _PAYLOADS[media]} | {"key": pa.string()}
    for name, kind in columns.items():
        if name in own and name != "n_frames":
            raise ConfigurationError(
                f"the source has a column {name!r}, which is a name that the table gives itself: rename it or leave it out"
            )
        if kind not in _VALUES:
            raise ConfigurationError(
                f"column {name!r} has the type {kind!r}: expected one of {', '.join(_VALUES)}"
            )
    others = {name: pa.type_for_alias(kind) for name, kind in columns.items() if name not in own}
    return [pa.field(name, kind) for name, kind in {**own, **others}.items()]


def _payload_values(media: str, sample: SourceSample, payloads: Sequence[bytes]) -> dict[str, Any]:
    names = (name.rpartition("/")[2] for name in member_names(sample, "frames"))
    stored = [
        {"bytes": payload, "path": name} for name, payload in zip(names, payloads, strict=True)
    ]
    if media == "frames":
        return {"video": stored, "n_frames": len(stored)}
    if len(stored) != 1:
        raise ConfigurationError(
            f"sample {sample.key!r} has {len(stored)} payloads, a row of a table holds one"
        )
    return (
        {"image": stored[0]}
        if media == "image"
        else {"file": stored[0], "extension": sample.parts[0].rpartition(".")[2]}
    )


def _array(rows: Sequence[dict[str, Any]], field: pa.Field) -> pa.Array:
    name = field.name
    values = [row.get(name) for row in rows]
    try:
        if pa.types.is_integer(field.type) and any(isinstance(value, float) for value in values):
            raise TypeError("a float")  # Arrow would cut it
        return pa.array(values, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        for row in rows if len(rows) > 1 else ():
            _array([row], field)  # the message is about the sample at fault
        key = rows[0]["key"]
        raise ConfigurationError(
            f"column {name!r} of sample {key!r}: expected a value of type {field.type}, got another: {exc}"
        ) from exc


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """Return options of the parquet writer. A dictionary or statistics of payloads would only copy their bytes."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    leaves = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    paths = [leaves.column(i).path for i in range(len(leaves.names))]
    described = [path for path in paths if not path.endswith(".bytes")]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": described,
        "write_statistics": described,
        "use_content_defined_chunking": True,
        "write_page_index": True,
    }
