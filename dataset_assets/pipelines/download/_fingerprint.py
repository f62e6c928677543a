"""The fingerprint of a table: equal for equal names, types and values, however Arrow holds them.

Chunks, offsets, padding, absent validity bitmaps and the bytes behind nulls do not count. Each
column is three streams, each hashed as the chunks arrive: which values are null, how long they are,
and their bytes. Nested columns have such streams for each level.
"""

import hashlib
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_LISTS = (pa.types.is_list, pa.types.is_large_list)
_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)


def shard_fingerprint(table: pa.Table) -> str:
    """Return the sha256 (hex) of column names, types and values."""
    digest = hashlib.sha256()
    for field, column in zip(table.schema, table.columns, strict=True):
        hasher = _Hasher()
        for chunk in column.chunks:
            hasher.update("", chunk)
        digest.update(json.dumps([field.name, type_name(field.type), len(column)]).encode())
        digest.update(hasher.digest())
    return digest.hexdigest()


class _Hasher:
    """The streams of one column, by their path below it."""

    def __init__(self) -> None:
        self._streams: dict[str, Any] = {}

    def digest(self) -> bytes:
        return b"".join(
            path.encode() + stream.digest() for path, stream in sorted(self._streams.items())
        )

    def _add(self, path: str, data: Any) -> None:
        self._streams.setdefault(path, hashlib.sha256()).update(data)

    def update(self, path: str, array: pa.Array) -> None:
        """Add the values of a chunk to the streams below `path`."""
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        self._add(f"{path}?", _bytes_of(array.is_null().cast(pa.uint8())))
        kind = array.type
        if any(is_kind(kind) for is_kind in _TEXTS):
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            filled = _filled(array, "" if is_text else b"")
            self._add(f"{path}#", _bytes_of(pc.binary_length(filled).cast(pa.int64())))
            self._add(f"{path}=", _data_of(filled))
        elif any(is_kind(kind) for is_kind in _LISTS):
            lengths = _filled(pc.list_value_length(array), 0)
            self._add(f"{path}#", _bytes_of(lengths.cast(pa.int64())))
            self.update(f"{path}[]", array.flatten())
        elif pa.types.is_struct(kind):
            for index, child in enumerate(array.flatten()):
                self.update(f"{path}.{index}", child)
        elif pa.types.is_boolean(kind):
            self._add(f"{path}=", _bytes_of(_filled(array, False).cast(pa.uint8())))
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            self._add(f"{path}=", _bytes_of(_filled(array, 0)))
        else:
            # Dates, decimals and the like are rare in lists: hash what Python prints.
            text = "".join(f"{value!r}\n" for value in array.to_pylist())
            self._add(f"{path}=", text.encode("utf-8", "backslashreplace"))


def _filled(array: pa.Array, value: Any) -> pa.Array:
    """Replace nulls by a value.

    Without nulls nothing is done: making an Arrow scalar would import pandas, if installed.
    """
    return array.fill_null(value) if array.null_count else array


def _bytes_of(array: pa.Array) -> Any:
    """Return the values of an array of a fixed width without nulls."""
    buffer = array.buffers()[1]
    if buffer is None:
        return b""
    width = array.type.bit_width // 8
    return memoryview(buffer)[array.offset * width : (array.offset + len(array)) * width]


def _data_of(array: pa.Array) -> Any:
    """Return the bytes of the values of an array of strings without nulls."""
    if len(array) == 0:
        return b""
    _, offsets, data = array.buffers()
    if data is None:
        return b""
    is_large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    bounds = memoryview(offsets).cast("q" if is_large else "i")
    return memoryview(data)[bounds[array.offset] : bounds[array.offset + len(array)]]


def type_name(kind: pa.DataType) -> str:
    """Return the type as text, without what differs between equal lists.

    That is the names that Parquet readers and writers give to list items, and how strings are kept.
    """
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if any(is_kind(kind) for is_kind in _LISTS):
        return f"list<{type_name(kind.value_type)}>"
    if pa.types.is_fixed_size_list(kind):
        return f"list<{type_name(kind.value_type)}>[{kind.list_size}]"
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        types = [f"{json.dumps(field.name)}: {type_name(field.type)}" for field in fields]
        return f"struct<{', '.join(types)}>"
    return str(kind).removeprefix("large_")
