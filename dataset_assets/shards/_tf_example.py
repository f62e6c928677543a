"""Writes and reads `tf.train.Example` messages without TensorFlow.

A message is a map of named features, each a list of bytes, of floats or of integers. Features keep
the order in which they are given, so equal values give equal bytes.
Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
and https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Iterable
from typing import Any

from dataset_assets.shards._text import utf8

# Fields of tf.train.Feature.
_BYTES_LIST = 1
_FLOAT_LIST = 2
_INT64_LIST = 3
_SMALL = [bytes((number,)) for number in range(0x80)]
#: The smallest number that rounds to infinity as float32.
_MAX_FLOAT32 = 3.4028235677973366e38


def encode_features(features: Iterable[tuple[str, Any]]) -> bytes:
    """Encode named values, each as a list of the type that fits it.

    Booleans and integers become int64 lists, floats become float lists, and so do lists of them.
    Other values become bytes lists: bytes, UTF-8 text, b"" for None, or the text of any other
    value. A single bytes value lies at the end of its feature.
    """
    return b"".join(
        _field(1, _field(1, utf8(name)) + _field(2, _value_list(value))) for name, value in features
    )


def encode_example(features: bytes) -> tuple[bytes, int]:
    """Wrap encoded features; return the message and the offset of the features in it."""
    example = _field(1, features)
    return example, len(example) - len(features)


def read_bytes_feature(example: bytes, at: int = -1) -> tuple[str, bytes, int]:
    """Return the name, the single bytes value and the end of a feature.

    Args:
        example: the message.
        at: the offset of the feature; -1 is the first one.

    Raises:
        ValueError, IndexError: there is no such feature.
    """
    if at < 0:
        at, _ = _enter(example, 0)
    at, end = _enter(example, at)
    name_at, name_end = _enter(example, at)
    at, _ = _enter(example, name_end)  # tf.train.Feature
    at, _ = _enter(example, at)  # its list
    at, value_end = _enter(example, at)
    if value_end != end or end > len(example):
        raise ValueError("not a feature of one bytes value")
    return example[name_at:name_end].decode(), example[at:end], end


def _varint(number: int) -> bytes:
    if 0 <= number < 0x80:
        return _SMALL[number]
    number &= 0xFFFFFFFFFFFFFFFF  # negative integers are written as two's complement
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    """Encode a length-delimited field."""
    return _SMALL[number << 3 | 2] + _varint(len(data)) + data


def _value_list(value: Any) -> bytes:
    if hasattr(value, "tolist"):  # numpy
        value = value.tolist()
    if isinstance(value, (str, bytes)):
        return _field(_BYTES_LIST, _field(1, _as_bytes(value)))
    values = value if isinstance(value, (list, tuple)) else (value,)
    if values and all(isinstance(each, int) and -(2**63) <= each < 2**63 for each in values):
        return _field(_INT64_LIST, _field(1, b"".join(map(_varint, values))))
    if values and all(isinstance(each, float) for each in values):
        packed = struct.pack(f"<{len(values)}f", *map(_as_float32, values))
        return _field(_FLOAT_LIST, _field(1, packed))
    return _field(_BYTES_LIST, b"".join(_field(1, _as_bytes(each)) for each in values))


def _as_float32(value: float) -> float:
    # struct refuses numbers that do not fit.
    return value if abs(value) < _MAX_FLOAT32 else value * float("inf")


def _as_bytes(value: Any) -> bytes:
    if value is None:
        return b""
    return value if isinstance(value, bytes) else utf8(value)


def _enter(data: bytes, at: int) -> tuple[int, int]:
    """Return start and end of the content of the length-delimited field at an offset."""
    at += 1
    length = 0
    shift = 0
    while True:
        length |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return at, at + length
