"""TFRecord files: `00000.tfrecord` with one `tf.train.Example` per success, and `00000.parquet` with all rows. Extra `tfrecord`, no TensorFlow.

Features of an example, in this order: key, the payload under its extension, txt (with captions), then the metadata columns. As in img2dataset: None is
b"", text and bytes are bytes lists, bools and ints int64 lists, floats float lists, lists of one of these likewise. Whatever else (dates, nested
values, ints beyond 64 bits) is a bytes list of its text.
Record: length (8 bytes, little endian), masked CRC-32C of it (4), data, masked CRC-32C of the data (4).
Formats: https://www.tensorflow.org/tutorials/load_data/tfrecord, https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, ClassVar

from dataset_assets.errors import MissingDependency, ShardCorrupt
from dataset_assets.records import Row, ShardFile
from dataset_assets.shards._base import Sample, WriterOptions, reserve_columns
from dataset_assets.shards._sidecar import Sidecar
from dataset_assets.shards._text import utf8
from dataset_assets.storage._base import Store

Crc = Callable[[bytes], int]

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3  # fields of tf.train.Feature
_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")


class Writer:
    """See `_base.Writer`."""

    sidecar: ClassVar[bool] = True
    suffix: ClassVar[str | None] = ".tfrecord"

    def __init__(self, store: Store, options: WriterOptions) -> None:
        reserve_columns(options, options.extension, *(["txt"] if options.has_caption else []))
        self._crc = _load_crc32c()
        self._extension = options.extension
        self._has_caption = options.has_caption
        self._staged = store.stage(options.name + ".tfrecord")
        self._sidecar = Sidecar(store, options)

    def write(self, row: Row) -> None:
        """See `_base.Writer`."""
        offset = None
        if row.payload is not None:
            example, payload_at = self._example(row, row.payload)
            head = struct.pack("<Q", len(example))
            offset = self._staged.bytes + _HEAD.size + payload_at
            self._staged.writev((head, _CRC.pack(_masked(self._crc(head))), example, _CRC.pack(_masked(self._crc(example)))))
        self._sidecar.add(row, offset)

    def _example(self, row: Row, payload: bytes) -> tuple[bytes, int]:
        """Return an encoded tf.train.Example and where the payload starts in it."""
        first = _feature("key", utf8(row.key)) + _feature(self._extension, payload)
        rest = [_feature("txt", utf8("" if row.caption is None else row.caption))] if self._has_caption else []
        rest += [_feature(name, value) for name, value in row.columns.items() if name != "key"]
        features = first + b"".join(rest)
        example = _field(1, features)
        return example, len(example) - len(features) + len(first) - len(payload)

    def close(self) -> None:
        """See `_base.Writer`."""
        self._staged.close()
        self._sidecar.close()

    def commit(self) -> tuple[ShardFile, ...]:
        """See `_base.Writer`."""
        self.close()
        self._staged.commit()
        return ShardFile(self._staged.key, self._staged.bytes, self._staged.sha256), self._sidecar.commit()

    def discard(self) -> None:
        """See `_base.Writer`."""
        self._staged.discard()
        self._sidecar.discard()

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[Sample]:
        """See `_base.Writer`."""
        crc = _load_crc32c()
        with store.open_read(file.name) as opened:
            for start, example in _records(opened, file, crc):
                try:
                    yield _sample(example, start)
                except (IndexError, ValueError) as exc:
                    raise ShardCorrupt(f"{file.name}: no valid example at byte {start}") from exc


def _load_crc32c() -> Crc:
    try:
        import google_crc32c
    except ImportError as exc:
        raise MissingDependency("output_format tfrecord needs google-crc32c: pip install 'dataset-assets[tfrecord]'") from exc
    value: Crc = google_crc32c.value
    return value


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# --- writing protocol buffers ---------------------------------------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    number &= 0xFFFFFFFFFFFFFFFF  # negative ints are their two's complement
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    """Encode a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _feature(name: str, value: Any) -> bytes:
    """Encode one entry of tf.train.Features.feature. A single bytes value lies at its end."""
    kind, data = _value_list(value)
    return _field(1, _field(1, utf8(name)) + _field(2, _field(kind, data)))


def _value_list(value: Any) -> tuple[int, bytes]:
    values = value.tolist() if hasattr(value, "tolist") else value
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    if values and all(isinstance(each, int) and -(2**63) <= each < 2**63 for each in values):
        return _INT64_LIST, _field(1, b"".join(map(_varint, values)))
    if values and all(isinstance(each, float) for each in values):
        return _FLOAT_LIST, _field(1, struct.pack(f"<{len(values)}f", *map(_float32, values)))
    return _BYTES_LIST, b"".join(_field(1, _as_bytes(each)) for each in values)


def _float32(value: float) -> float:
    return value if abs(value) < 3.4028235677973366e38 else value * float("inf")  # struct refuses what float32 can not hold


def _as_bytes(value: Any) -> bytes:
    if value is None:
        return b""
    return value if isinstance(value, bytes) else utf8(value)


# --- reading them -----------------------------------------------------------------------------------------------------------------------------------


def _records(file: BinaryIO, shard_file: ShardFile, crc: Crc) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, data) of every record."""
    position = 0
    while position < shard_file.bytes:
        head = file.read(_HEAD.size)
        length, length_crc = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, -1)
        if length_crc != _masked(crc(head[:8])) or length > shard_file.bytes - position:
            raise ShardCorrupt(f"{shard_file.name}: no valid record at byte {position}")
        data, foot = file.read(length), file.read(_CRC.size)
        if len(data) != length or foot != _CRC.pack(_masked(crc(data))):
            raise ShardCorrupt(f"{shard_file.name}: the record at byte {position} is cut or its bytes have changed")
        yield position + _HEAD.size, data
        position += _HEAD.size + length + _CRC.size


def _sample(example: bytes, start: int) -> Sample:
    """Read the key and the payload: the first two features."""
    at, _ = _enter(example, 0)
    (_, key, after_key), (extension, payload, end) = _read_feature(example, at), (None, b"", 0)
    extension, payload, end = _read_feature(example, after_key)
    return Sample(key.decode(), extension, payload, start + end - len(payload))


def _read_feature(data: bytes, at: int) -> tuple[str, bytes, int]:
    """Return name, bytes and end of the feature at a position."""
    at, end = _enter(data, at)
    name_at, name_end = _enter(data, at)
    at, _ = _enter(data, name_end)
    at, _ = _enter(data, at)
    at, value_end = _enter(data, at)
    if value_end != end:
        raise ValueError("not a feature of one bytes value")
    return data[name_at:name_end].decode(), data[at:end], end


def _enter(data: Sequence[int], at: int) -> tuple[int, int]:
    """Return begin and end of the content of the length-delimited field at a position."""
    at, length, shift = at + 1, 0, 0
    while True:
        length |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return at, at + length
