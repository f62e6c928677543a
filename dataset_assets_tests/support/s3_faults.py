"""An S3 server that misbehaves on request: faults that no real server produces when asked.

    with FaultyS3() as server:
        server.put("data/key", b"...")              # bucket "data"
        server.fault("GET", "cut", times=1, at=500)  # the next body ends after 500 bytes
        Store("s3://data", server.credentials)
        server.requests                             # (method, path with query) of each, in order

Objects, ranges, If-Match, If-None-Match and multipart uploads work. Signatures are not checked, but
`valid_keys`, when set, are the access keys that are accepted. The kinds of faults:

    cut           the body and the connection end after `at` bytes
    swap          as cut, and the object is replaced meanwhile
    stall         as cut, but the connection stays open
    flip          one byte of the body differs, the ETag does not
    status        an error: `code`, as (503, "SlowDown")
    error_in_200  an <Error> with status 200
    lost          the request is executed, but the answer is lost
    wrong_etag    the request is executed and answered with another ETag
    damage        the body is changed on its way in
    whole         a range is answered with 200 and the whole object
    redirect      a 307 to the URL `text`
"""

import base64
import hashlib
import re
import socket
import socketserver
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Self
from urllib.parse import parse_qs, unquote, urlsplit

from dataset_assets.storage.s3.credentials import S3Credentials


@dataclass(slots=True)
class Fault:
    """A fault for requests of one method whose path with query matches."""

    method: str
    kind: str
    times: int
    at: int
    code: tuple[int, str]
    matching: str
    text: str


class FaultyS3:
    """The server. A context manager."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}  # by "bucket/key"
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.etags: dict[bytes, str] = {}  # of what was uploaded in parts
        self.requests: list[tuple[str, str]] = []
        self.valid_keys: set[str] | None = None
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.credentials = S3Credentials(
            source="test",
            endpoint_url=self.url,
            access_key="AKIAFAULTYFAULTY0000",
            secret_key="faulty-secret-key",
        )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, data: bytes) -> None:
        """Store an object without a request."""
        self.objects[path] = data

    def fault(
        self,
        method: str,
        kind: str,
        *,
        times: int = 1,
        at: int = 0,
        code: tuple[int, str] = (0, ""),
        matching: str = "",
        text: str = "no",
    ) -> None:
        """Make the next `times` matching requests fail."""
        self._faults.append(Fault(method, kind, times, at, code, matching, text))

    def count(self, method: str, matching: str = "") -> int:
        """Count the requests so far."""
        return sum(one == method and bool(re.search(matching, path)) for one, path in self.requests)

    def next_fault(self, method: str, target: str) -> Fault | None:
        """Record a request, and return its fault."""
        with self._lock:
            self.requests.append((method, target))
            for each in self._faults:
                if each.method == method and each.times > 0 and re.search(each.matching, target):
                    each.times -= 1
                    return replace(each)
        return None


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    site: FaultyS3


class _Closed(Exception):
    """The connection ends here."""


class _Handler(socketserver.StreamRequestHandler):
    """One connection."""

    disable_nagle_algorithm = True
    wbufsize = 0

    def handle(self) -> None:
        with suppress(_Closed, OSError):
            while self._one():
                pass

    def _one(self) -> bool:
        first = self.rfile.readline().decode("latin-1").split()
        if not first:
            return False
        headers = _headers(self.rfile)
        if headers.get("expect") == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(int(headers.get("content-length", 0)))
        exchange = _Exchange(self.server.site, first[0], first[1], headers, body, self.wfile.write)  # type: ignore[attr-defined]
        exchange.answer()
        if exchange.is_lost:
            self.connection.shutdown(socket.SHUT_RDWR)
        return not exchange.is_lost


def _headers(reader: BinaryIO) -> dict[str, str]:
    found = {}
    while (line := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        found[name.lower()] = value.strip()
    return found


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        site: FaultyS3,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        send: Any,
    ) -> None:
        self.site, self.method, self.headers, self.body, self._send = (
            site,
            method,
            headers,
            body,
            send,
        )
        parts = urlsplit(target)
        self.path = unquote(parts.path).strip("/")
        self.query = {
            name: values[0]
            for name, values in parse_qs(parts.query, keep_blank_values=True).items()
        }
        self.fault = site.next_fault(method, unquote(target))
        self.is_lost = False

    def _is(self, *kinds: str) -> bool:
        return self.fault is not None and self.fault.kind in kinds

    def answer(self) -> None:
        key = re.search(r"Credential=([^/]+)/", self.headers.get("authorization", ""))
        if self.site.valid_keys is not None and (key is None or key[1] not in self.site.valid_keys):
            return self.error(400, "ExpiredToken", "The provided token has expired.")
        if self._is("status"):
            return self.error(*self.fault.code, self.fault.text)
        if self._is("redirect"):
            return self.reply(307, b"", f"Location: {self.fault.text}\r\n")
        if self._is("error_in_200"):
            return self.error(
                200, "InternalError", "We encountered an internal error. Please try again."
            )
        if self._is("damage"):
            self.body = bytes([self.body[0] ^ 1]) + self.body[1:]
        if (
            "content-md5" in self.headers
            and _md5_header(self.body) != self.headers["content-md5"]
            and not self._is("damage")
        ):
            return self.error(
                400, "BadDigest", "The Content-MD5 you specified did not match what we received."
            )
        handler = getattr(self, f"_{self.method.lower()}")
        return handler()

    def _etag_of(self, data: bytes) -> str:
        return self.site.etags.get(data) or _etag(data)

    def _get(self) -> None:
        data = self.site.objects.get(self.path)
        if data is None:
            return (
                self.error(404, "NoSuchKey", "no key")
                if "/" in self.path
                else self.reply(200, _LISTING)
            )
        if self.headers.get("if-match", self._etag_of(data)) != self._etag_of(data):
            return self.error(412, "PreconditionFailed", "changed")
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if found is None or self._is("whole"):
            return self._body(200, data, data, "")
        start, end = int(found[1]), min(int(found[2] or len(data)) + 1, len(data))
        if start >= len(data):
            return self.error(416, "InvalidRange", "outside")
        return self._body(
            206, data, data[start:end], f"Content-Range: bytes {start}-{end - 1}/{len(data)}\r\n"
        )

    def _body(self, status: int, data: bytes, part: bytes, more: str) -> None:
        head = f"{more}ETag: {self._etag_of(data)}\r\n{_MODIFIED}"
        if self._is("flip"):
            part = bytes([part[0] ^ 1]) + part[1:]
        if self._is("swap"):
            self.site.objects[self.path] = data[::-1]
        if self._is("cut", "swap", "stall"):
            self._send(
                f"HTTP/1.1 {status} OK\r\nContent-Length: {len(part)}\r\n{head}\r\n".encode()
                + part[: self.fault.at]
            )
            if self._is("stall"):
                threading.Event().wait(60)
            self.is_lost = True
            return
        self.reply(status, part, head)

    def _head(self) -> None:
        data = self.site.objects.get(
            self.path, b"" if "/" not in self.path else None
        )  # a bucket, too
        if data is None:
            return self._send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        head = f"Content-Length: {len(data)}\r\nETag: {self._etag_of(data)}\r\n{_MODIFIED}\r\n"
        return self._send(f"HTTP/1.1 200 OK\r\n{head}".encode())

    def _put(self) -> None:
        if "partNumber" in self.query:
            self.site.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = self.body
        elif (
            self.headers.get("if-none-match") == "*"
            and self.site.objects.setdefault(self.path, self.body) is not self.body
        ):
            return self.error(412, "PreconditionFailed", "exists")
        else:
            self.site.objects[self.path] = self.body
        etag = '"00000000000000000000000000000000"' if self._is("wrong_etag") else _etag(self.body)
        return self.reply(200, b"", f"ETag: {etag}\r\n")

    def _post(self) -> None:
        if "uploads" in self.query:
            name = f"upload{len(self.site.uploads)}"
            self.site.uploads[name] = {}
            return self.reply(
                200,
                f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>".encode(),
            )
        parts = self.site.uploads.pop(self.query["uploadId"], None)
        if parts is None:
            return self.error(404, "NoSuchUpload", "gone")
        data = b"".join(parts[number] for number in sorted(parts))
        digests = b"".join(hashlib.md5(parts[number]).digest() for number in sorted(parts))
        etag = self.site.etags[data] = f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'
        self.site.objects[self.path] = data
        return self.reply(
            200,
            f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>".encode(),
        )

    def _delete(self) -> None:
        if "uploadId" in self.query:
            self.site.uploads.pop(self.query["uploadId"], None)
        else:
            self.site.objects.pop(self.path, None)
        self.reply(204, b"")

    def error(self, status: int, code: str, text: str) -> None:
        """Answer with an error in the format of S3."""
        body = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
        self.reply(status, b"" if self.method == "HEAD" else _XML + body.encode())

    def reply(self, status: int, body: bytes, head: str = "") -> None:
        """Answer, unless the fault loses the answer."""
        self.is_lost = self._is("lost")
        if not self.is_lost:
            self._send(
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body
            )


_XML = b'<?xml version="1.0"?>'
_MODIFIED = "Last-Modified: Fri, 20 Nov 2026 09:00:00 GMT\r\n"
_LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _md5_header(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()
