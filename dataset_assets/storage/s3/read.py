"""Reads objects: one streaming GET that resumes where it broke off, on one version of the object.

boto3 retries a request, never a body. Here a body that breaks off, stalls or ends early is
resumed after the last good byte with `Range` and `If-Match`; an object that was replaced meanwhile
is an error, never a mixture. The length is always what the server announced for the whole object.
A range may be answered with 206, with 200 and the range (rclone), or with 200 and the whole
object.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dataset_assets.errors import StorageError
from dataset_assets.storage.http import parse_content_range
from dataset_assets.storage.positioned import Positioned
from dataset_assets.storage.s3.client import Bucket
from dataset_assets.storage.s3.errors import (
    Changed,
    RangeOutside,
    Refused,
    boto_errors,
    translate_s3_errors,
    translated,
)
from dataset_assets.storage.s3.retry import backoff_s

WINDOW_BYTES = 1 << 20
"""What is fetched after a jump, and read at once into memory; further on the stream has no end."""
_SKIP_BYTES = 1 << 20
"""A jump forward of at most this size is read through."""
_DRAIN_BYTES = 1 << 16
"""A rest of at most this size is read, so that the connection can be used again."""
_VERIFIED_BYTES = 8 << 20
"""Larger objects are multipart as a rule, without an MD5."""
_MAX_FAILURES = 10
"""In a row, without a byte between them."""
_MAX_REPLACED = 5
_FIRST_PAUSE_S = 0.2
_MAX_PAUSE_S = 10.0
_MD5 = re.compile(r"[0-9a-f]{32}")

Sleep = Callable[[float], object]


class ObjectStream:
    """The bytes of one version of an object, from `start` to its end or for `length` bytes.

    One GET as long as nothing breaks.
    """

    def __init__(self, bucket: Bucket, key: str, where: str, *, sleep: Sleep = time.sleep) -> None:
        self._bucket = bucket
        self._key = key
        self._where = where
        self._sleep = sleep
        self._body: Any = None
        self._failures = 0
        self._pid = os.getpid()
        self.etag = ""
        self.bytes = 0  # of the object
        self.md5: str | None = None  # of the object, when its ETag is one
        self.position = 0
        self.end = 0

    def open(self, start: int = 0, length: int | None = None) -> None:
        """Send the GET. A second call moves to another range of the same version.

        Raises:
            ObjectMissing, RangeOutside, StorageError: see `s3.errors`.
        """
        self.close()
        end = None if length is None else start + length
        answer = self._get(start, end)
        first, total = _range_of(answer, start)
        etag = answer.get("ETag", "").strip('"')
        if self.etag and (etag, total) != (self.etag, self.bytes):
            raise self._changed()
        if start >= total > 0:
            raise RangeOutside(f"{self._where}: the object ends before byte {start}")
        self.etag = etag
        self.bytes = total
        self.md5 = md5_of(answer)
        self.position = start
        self.end = total if end is None else min(end, total)
        self._body = answer["Body"]
        self._pid = os.getpid()
        self._drop(start - first)

    def _get(self, start: int, end: int | None) -> dict[str, Any]:
        arguments: dict[str, Any] = {"Key": self._key}
        if start or end is not None:
            arguments["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if self.etag:
            arguments["IfMatch"] = f'"{self.etag}"'
        try:
            return self._bucket.call("get_object", self._where, **arguments)
        except (Refused, RangeOutside):
            if self.etag:
                raise self._changed() from None
            raise

    def _changed(self) -> Changed:
        return Changed(f"{self._where} changed while being read: read it again from the start")

    def _drop(self, count: int) -> None:
        """Drop bytes before `position`, sent by a server that does not support ranges."""
        with translate_s3_errors(self._where, self._bucket.credentials):
            while count > 0:
                data = self._body.read(min(count, WINDOW_BYTES))
                count -= len(data) or self.fail("the body ended early")

    def fail(self, reason: str) -> int:
        """Raise an error that says where it happened.

        Raises:
            StorageError: always.
        """
        raise StorageError(f"{self._where}: {reason} at byte {self.position}")

    def read(self, count: int) -> bytes:
        """Read up to `count` bytes, and at most `WINDOW_BYTES`; nothing only at the end.

        A break loses no more than that.

        Raises:
            StorageError: the object changed, or the body broke off too often.
        """
        count = min(count, self.end - self.position, WINDOW_BYTES)
        while count > 0:
            try:
                # a fork must not share the connection
                if self._body is None or self._pid != os.getpid():
                    self._body = None
                    self.open(self.position, self.end - self.position)
                data: bytes = self._body.read(count)
            except boto_errors() as exc:
                data = b""
                cause = exc
            else:
                cause = EOFError("the body ended early")
            if data:
                self.position += len(data)
                self._failures = 0
                return data
            self._back_off(cause)
        return b""

    def _back_off(self, cause: Exception) -> None:
        self._failures += 1
        self.close()
        if self._failures >= _MAX_FAILURES:
            reason = translated(cause, self._where, self._bucket.credentials)
            raise StorageError(
                f"{reason}; the body broke off {self._failures} times at byte {self.position} of "
                f"{self.bytes}"
            )
        self._sleep(backoff_s(self._failures, _FIRST_PAUSE_S, _MAX_PAUSE_S))

    def skip(self, count: int) -> None:
        """Read and drop bytes."""
        while count > 0:
            count -= len(self.read(count)) or self.fail("the object ends")

    def close(self) -> None:
        """Release the connection. Idempotent."""
        body = self._body
        self._body = None
        if body is None or self._pid != os.getpid():
            return
        try:
            if self.end - self.position <= _DRAIN_BYTES:
                body.read()
        except boto_errors():
            pass  # the connection is closed anyway
        body.close()


def _range_of(answer: dict[str, Any], start: int) -> tuple[int, int]:
    """Return where the body begins in the object, and the bytes of the whole object."""
    found = parse_content_range(answer.get("ContentRange") or "")
    if found is None:
        return 0, int(answer["ContentLength"])
    first, _, total = found
    if first != start:
        raise StorageError(
            f"expected bytes from {start}, got those from {first}: this server cannot be read from"
        )
    return start, total


def md5_of(answer: dict[str, Any]) -> str | None:
    """Return the MD5 of an object if its ETag is one.

    It is none after a multipart upload, or when the object is encrypted with a key of its owner.
    """
    etag = answer.get("ETag", "").strip('"')
    return etag if _MD5.fullmatch(etag) and not is_encrypted(answer) else None


def is_encrypted(answer: dict[str, Any]) -> bool:
    """Tell whether an object is encrypted in a way that makes its ETag no MD5."""
    is_kms = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    return is_kms or "SSECustomerAlgorithm" in answer


def read(
    new_stream: Callable[[], ObjectStream], start: int = 0, length: int | None = None
) -> bytes:
    """Read an object, or `length` bytes of it from `start`; fewer where it ends.

    A whole object that is replaced meanwhile is read again: the old or the new one is returned. A
    range may belong to ranges that were read before, so there this is an error.

    Raises:
        ObjectMissing, StorageError: see `ObjectStream`.
    """
    if start == 0 and length is None:
        for _ in range(_MAX_REPLACED):
            with suppress(Changed):
                return _read_verified(new_stream())
    return _read(new_stream(), start, length)


def _read_verified(stream: ObjectStream) -> bytes:
    """Read a whole object. A small one is compared with its MD5, and read again if that differs.

    A difference that stays is the way in which the server makes ETags.
    """
    data = _read(stream, 0, None)
    if len(data) > _VERIFIED_BYTES or not _differs(data, stream.md5):
        return data
    again = _read(stream, 0, None)
    if again != data and _differs(again, stream.md5):
        stream.fail(
            "the bytes differ at each reading: the network or the server damages them; stopped"
        )
    return again


def _differs(data: bytes, md5: str | None) -> bool:
    return md5 is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5


def _read(stream: ObjectStream, start: int, length: int | None) -> bytes:
    try:
        # an empty range cannot be requested
        stream.open(start, None if length is None else max(length, 1))
    except RangeOutside:
        return b""
    parts = list(iter(lambda: stream.read(WINDOW_BYTES), b"")) if length != 0 else []
    stream.close()
    return parts[0] if len(parts) == 1 else b"".join(parts)


class ObjectFile(Positioned):
    """An object as a seekable file.

    Front to back is the one GET that opened it; after a jump a window is fetched, then a stream
    again.
    """

    def __init__(self, stream: ObjectStream) -> None:
        self._stream = stream
        try:
            stream.open()
        except RangeOutside:  # some servers say so of an empty object
            stream.bytes = 0

    def size(self) -> int:
        """Return the bytes of the object."""
        return self._stream.bytes

    def read_at(self, position: int, length: int) -> bytes:
        """Return up to `length` bytes from a position on; none only at the end."""
        if position >= self._stream.bytes:
            return b""
        self._move(position, length)
        return self._stream.read(length)

    def _move(self, position: int, wanted: int) -> None:
        stream = self._stream
        gap = position - stream.position
        is_window_end = gap == 0 and stream.position == stream.end
        if is_window_end:
            stream.open(position)
        elif 0 < gap <= _SKIP_BYTES and position < stream.end:
            stream.skip(gap)
        elif gap:
            stream.open(position, max(wanted, WINDOW_BYTES))

    def readall(self) -> bytes:
        """Read the rest."""
        parts = []
        while data := self.read_at(self._position, self._stream.bytes - self._position):
            parts.append(data)
            self._position += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Release the connection. Idempotent."""
        if not self.closed:
            self._stream.close()
        super().close()
