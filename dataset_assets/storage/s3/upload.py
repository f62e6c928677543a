"""Writes objects: one PUT, or a multipart upload that nobody sees before it is complete.

Parts are sent from memory while more is written, a few at a time; at most `_PARTS_IN_FLIGHT + 1`
of them are held. They double in size every thousand, so that 10,000 parts of 8 MiB and more hold
the 5 TiB that an object may have. Each PUT carries its MD5, and its ETag is compared where it is
one. Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

import base64
import hashlib
import re
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from dataset_assets.errors import ObjectMissing, StorageError
from dataset_assets.storage.s3.client import Bucket
from dataset_assets.storage.s3.errors import DigestRefused, NotSupported, UploadGone
from dataset_assets.storage.s3.read import is_encrypted
from dataset_assets.storage.store import Buffer, Staged

PART_BYTES = 8 << 20
_PARTS_PER_SIZE = 1000
_PARTS_IN_FLIGHT = 4
_ATTEMPTS = 3
"""Attempts to send bytes that arrived damaged."""
_MD5 = re.compile(r"[0-9a-f]{32}")
_MULTIPART = re.compile(r"[0-9a-f]{32}-[0-9]+")


def part_bytes(number: int) -> int:
    """Return the size of a part, counted from 1."""
    return PART_BYTES << ((number - 1) // _PARTS_PER_SIZE)


def put(
    bucket: Bucket, operation: str, where: str, body: Buffer, **arguments: Any
) -> tuple[str, bytes]:
    """Send bytes by `put_object` or `upload_part` and return their ETag and MD5.

    The ETag must be the MD5. An object, which is visible at once, also carries its MD5, so that the
    server refuses a damaged one; a part is only compared, which is half the work for the server.

    Raises:
        StorageError: the bytes arrived damaged several times; or what `Bucket.call` raises.
    """
    digest = hashlib.md5(body, usedforsecurity=False)
    if operation == "put_object":
        arguments["ContentMD5"] = base64.b64encode(digest.digest()).decode()
    for _ in range(_ATTEMPTS):
        with suppress(DigestRefused):
            answer = bucket.call(operation, where, Body=body, **arguments)
            if _has_etag(answer, digest.hexdigest(), _MD5):
                return str(answer.get("ETag", "")), digest.digest()
    raise StorageError(
        f"{where}: the server stored other bytes than were sent, {_ATTEMPTS} times: the network or "
        "the server damages them; stopped"
    )


def _has_etag(answer: dict[str, Any], expected: str, form: re.Pattern[str]) -> bool:
    """Tell whether an ETag is the expected one; true where it is no MD5, as with encryption."""
    etag = str(answer.get("ETag", "")).strip('"')
    return etag == expected or not form.fullmatch(etag) or is_encrypted(answer)


class S3Upload(Staged):
    """Bytes on their way into a bucket. A small object stays in memory until `commit`."""

    def __init__(self, bucket: Bucket, key: str, path: str, where: str, *, sha256: bool) -> None:
        super().__init__(key, sha256=sha256)
        self._bucket = bucket
        self._path = path
        self._where = where
        self._buffer = bytearray()
        self._parts: _MultipartUpload | None = None

    def _append(self, parts: Sequence[Buffer]) -> None:
        """Buffer bytes. A part is sent once it cannot be the last: a small object is one PUT."""
        for part in parts:
            view = memoryview(part).cast("B")
            while len(view):
                size = part_bytes(self._parts.next_number if self._parts else 1)
                if len(self._buffer) >= size:
                    self._send()
                room = size - len(self._buffer)
                self._buffer += view[:room]
                view = view[room:]

    def _send(self) -> None:
        self._parts = self._parts or _MultipartUpload(self._bucket, self._path, self._where)
        body = self._buffer
        self._buffer = bytearray()
        self._parts.send(body)

    def _flush(self) -> None:
        if self._parts is not None:
            self._send()
            self._parts.wait()

    def _publish(self) -> None:
        if self._parts is None:
            put(self._bucket, "put_object", self._where, self._buffer, Key=self._path)
        else:
            self._parts.complete(self.bytes)
        self._buffer = bytearray()

    def _remove(self) -> None:
        self._buffer = bytearray()
        if self._parts is not None:
            self._parts.abort()
            self._parts = None


class _MultipartUpload:
    """The parts of one object."""

    def __init__(self, bucket: Bucket, path: str, where: str) -> None:
        self._bucket = bucket
        self._path = path
        self._where = where
        self._id = bucket.call("create_multipart_upload", where, Key=path)["UploadId"]
        self._threads = ThreadPoolExecutor(_PARTS_IN_FLIGHT, thread_name_prefix="s3-upload")
        self._pending: deque[Future[tuple[str, bytes]]] = deque()
        self._sent: list[tuple[str, bytes]] = []  # ETag and MD5 of each part

    @property
    def next_number(self) -> int:
        """Number of the part that is sent next, from 1."""
        return len(self._sent) + len(self._pending) + 1

    def send(self, body: bytearray) -> None:
        """Send a part once there is room; an error of an earlier part is raised here or later."""
        if len(self._pending) >= _PARTS_IN_FLIGHT:
            self._sent.append(self._pending.popleft().result())
        self._pending.append(self._threads.submit(self._put, self.next_number, body))

    def _put(self, number: int, body: bytearray) -> tuple[str, bytes]:
        arguments = {"Key": self._path, "UploadId": self._id, "PartNumber": number}
        return put(self._bucket, "upload_part", self._where, body, **arguments)

    def wait(self) -> None:
        """Wait until all parts have arrived."""
        while self._pending:
            self._sent.append(self._pending.popleft().result())
        self._threads.shutdown()

    def complete(self, size: int) -> None:
        """Make the object visible. A lost answer is no error: the object tells the outcome.

        Raises:
            StorageError: the visible object is not what was sent.
        """
        parts = [
            {"PartNumber": number, "ETag": etag}
            for number, (etag, _) in enumerate(self._sent, start=1)
        ]
        arguments = {"Key": self._path, "UploadId": self._id, "MultipartUpload": {"Parts": parts}}
        md5 = hashlib.md5(b"".join(md5 for _, md5 in self._sent), usedforsecurity=False)
        try:
            answer = self._bucket.call("complete_multipart_upload", self._where, **arguments)
        except UploadGone as gone:
            answer = self._completed(size, gone)
        if not _has_etag(answer, f"{md5.hexdigest()}-{len(self._sent)}", _MULTIPART):
            raise StorageError(
                f"{self._where}: the server joined other parts than were sent; write it again"
            )

    def _completed(self, size: int, gone: UploadGone) -> dict[str, Any]:
        with suppress(ObjectMissing):
            answer = self._bucket.call("head_object", self._where, Key=self._path)
            etag = answer.get("ETag", "").strip('"')
            if answer["ContentLength"] == size and _MULTIPART.fullmatch(etag):
                return answer
        raise gone

    def abort(self) -> None:
        """Remove the parts. `sweep` does so where this cannot."""
        for each in self._pending:
            each.cancel()
        self._threads.shutdown()
        arguments = {"Key": self._path, "UploadId": self._id}
        with suppress(StorageError):
            self._bucket.call("abort_multipart_upload", self._where, **arguments)


def abort_older(bucket: Bucket, prefix: str, where: str, before_s: float | None) -> int:
    """Abort multipart uploads below a prefix, and return how many.

    Those that began before a time (s since the epoch), or all. A server that cannot list uploads
    removes them by itself: 0.
    """
    found: list[dict[str, Any]] = []
    with suppress(NotSupported, UploadGone):  # the latter is what rclone says
        for page in bucket.list_pages("list_multipart_uploads", where, Prefix=prefix):
            found += page.get("Uploads", [])
    aborted = 0
    for upload in found:
        if before_s is None or upload["Initiated"].timestamp() < before_s:
            arguments = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
            with suppress(UploadGone):  # its writer has just completed or aborted it
                bucket.call("abort_multipart_upload", where, **arguments)
                aborted += 1
    return aborted
