"""TFRecord files: `00000.tfrecord` with one `tf.train.Example` per success.

`00000.parquet` has all rows. Needs the extra `tfrecord`, but not TensorFlow. An example has these
features, in this order and with the types of img2dataset: key, the payload under its extension, txt
(with captions), the metadata columns.
Record: length (8 bytes, little endian), masked CRC-32C of it (4), data, masked CRC-32C of the data
(4).
Format: https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import BinaryIO, ClassVar

from dataset_assets.errors import MissingDependency, ShardCorrupt
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards._tf_example import encode_example, encode_features, read_bytes_feature
from dataset_assets.shards.sidecar import Sidecar
from dataset_assets.shards.writer import StoredSample, WriterOptions, refuse_parts, reserve_columns
from dataset_assets.storage.store import Store

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEAD = _LENGTH.size + _CRC.size


class Writer:
    """Writes successes as TFRecord records."""

    sidecar: ClassVar[bool] = True
    suffix: ClassVar[str | None] = ".tfrecord"

    def __init__(self, store: Store, options: WriterOptions) -> None:
        refuse_parts(options, "tfrecord")
        reserve_columns(options, options.extension, *(["txt"] if options.has_caption else []))
        self._checksum = _load_checksum()
        self._extension = options.extension
        self._has_caption = options.has_caption
        with ExitStack() as undo:
            self._staged = undo.enter_context(store.stage(options.name + ".tfrecord"))
            self._sidecar = Sidecar(store, options)
            undo.pop_all()

    def write(self, row: Row) -> None:
        offset = None
        if row.payload is not None:
            example, payload_at = self._example(row, row.payload)
            length = _LENGTH.pack(len(example))
            offset = self._staged.bytes + _HEAD + payload_at
            self._staged.writev((length, self._checksum(length), example, self._checksum(example)))
        self._sidecar.add(row, offset)

    def _example(self, row: Row, payload: bytes) -> tuple[bytes, int]:
        """Encode a sample; return it and the offset of the payload in it."""
        first = encode_features([("key", row.key), (self._extension, payload)])
        caption = []
        if self._has_caption:
            caption.append(("txt", "" if row.caption is None else str(row.caption)))
        metadata = [(name, value) for name, value in row.columns.items() if name != "key"]
        example, start = encode_example(first + encode_features(caption + metadata))
        return example, start + len(first) - len(payload)

    def close(self) -> None:
        self._staged.close()
        self._sidecar.close()

    def commit(self) -> tuple[ShardFile, ...]:
        self.close()
        self._staged.commit()
        records = ShardFile(self._staged.key, self._staged.bytes, self._staged.sha256)
        return records, self._sidecar.commit()

    def discard(self) -> None:
        self._staged.discard()
        self._sidecar.discard()

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[StoredSample]:
        with store.open_read(file.name) as opened:
            for start, example in _records(opened, file):
                try:
                    key, after_key = read_bytes_feature(example)[1:]
                    extension, payload, end = read_bytes_feature(example, after_key)
                    yield StoredSample(key.decode(), extension, payload, start + end - len(payload))
                except (IndexError, ValueError) as exc:
                    raise ShardCorrupt(f"{file.name}: no valid example at byte {start}") from exc


def _records(file: BinaryIO, shard_file: ShardFile) -> Iterator[tuple[int, bytes]]:
    """Yield (offset of the data, data) of every record."""
    checksum = _load_checksum()
    position = 0
    while position < shard_file.bytes:
        head = file.read(_HEAD)
        is_valid = len(head) == _HEAD and head[8:] == checksum(head[:8])
        length = _LENGTH.unpack(head[:8])[0] if is_valid else -1
        if not 0 <= length <= shard_file.bytes - position:
            raise ShardCorrupt(f"{shard_file.name}: no valid record at byte {position}")
        data = file.read(length)
        if file.read(_CRC.size) != checksum(data):
            raise ShardCorrupt(
                f"{shard_file.name}: the record at byte {position} is truncated or has changed"
            )
        yield position + _HEAD, data
        position += _HEAD + length + _CRC.size


def _load_checksum() -> Callable[[bytes], bytes]:
    """Return the masked CRC-32C of TFRecord files."""
    try:
        import google_crc32c
    except ImportError as exc:
        raise MissingDependency(
            "output_format 'tfrecord' needs google-crc32c; "
            "run pip install 'dataset-assets[tfrecord]'"
        ) from exc

    def masked(data: bytes) -> bytes:
        crc = google_crc32c.value(data)
        return _CRC.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    return masked
