"""A file on a web server, read like a local file: seekable, and resumed after broken connections.

Reading forward is one GET, whatever the number of reads; a seek forward by less than `skip_bytes`
stays inside it. After a break, a stall or an overloaded server, reading resumes at the same byte
with `Range` and `If-Range`, so two versions of a file are never mixed.
Protocol: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import urllib3

from dataset_assets import checks
from dataset_assets.errors import SourceError
from dataset_assets.fetch._retry import TransientError
from dataset_assets.fetch.options import MIB
from dataset_assets.fetch.session import Session, describe
from dataset_assets.redaction import redact
from dataset_assets.storage.http import parse_content_range
from dataset_assets.storage.positioned import Positioned

_Result = TypeVar("_Result")

_CHUNK_BYTES = MIB // 4  # received at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeOptions:
    """How a file is read. `SessionOptions` say how its server is accessed.

    Raises:
        ConfigurationError: a value is not valid.
    """

    first_bytes: int = MIB // 16
    """Bytes of the first request, which returns the size and version of the file."""
    buffer_bytes: int = MIB
    """Bytes of the read buffer."""
    skip_bytes: int = 4 * MIB
    """A seek forward by at most this many bytes reads on instead of sending a new request."""
    progress_bytes: int = MIB // 16
    """Bytes received after which earlier failures are no longer counted."""
    low_speed_bytes_per_s: int = 1024
    """A slower response over `low_speed_time_s` is requested again."""
    low_speed_time_s: float = 30.0
    """Seconds of waiting over which the speed is measured."""

    def __post_init__(self) -> None:
        for name in ("first_bytes", "buffer_bytes", "progress_bytes", "low_speed_time_s"):
            checks.positive(name, getattr(self, name))
        for name in ("skip_bytes", "low_speed_bytes_per_s"):
            checks.number(name, getattr(self, name), low=0)


class RangeFile(io.BufferedReader):
    """A file at an http or https URL. For one thread.

    Raises:
        SourceError: there is no such file, it changed while it was read, or its server keeps
            failing.
    """

    def __init__(
        self,
        url: str,
        *,
        session: Session | None = None,
        options: RangeOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = options or RangeOptions()
        self._ranges = _Ranges(url, session, options, clock)
        super().__init__(self._ranges, options.buffer_bytes)

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self._ranges.bytes

    @property
    def validator(self) -> str | None:
        """The server's name for this version of the file: its ETag, or its Last-Modified."""
        return self._ranges.version.etag or self._ranges.version.modified

    @property
    def bytes_read(self) -> int:
        """Bytes received so far, skipped bytes included."""
        return self._ranges.bytes_read

    @property
    def requests(self) -> int:
        """Requests sent so far, without redirects."""
        return self._ranges.requests


@dataclass(frozen=True, slots=True)
class _Version:
    """The headers that identify a version of a file."""

    etag: str | None
    modified: str | None

    @property
    def condition(self) -> dict[str, str]:
        """The header that requests a range of this version only. A weak ETag cannot do so."""
        strong = self.modified if self.etag is None else self.etag
        return {"If-Range": strong} if strong and not strong.startswith("W/") else {}

    def differs(self, other: "_Version") -> bool:
        """Tell whether two versions certainly differ."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified))
        return next((mine != theirs for mine, theirs in pairs if mine and theirs), False)


class _Part(NamedTuple):
    """A response, and the part of the file that is its body."""

    response: Any
    start: int
    """-1 when unknown, like the other numbers."""
    end: int
    size: int
    """Bytes of the whole file."""

    @property
    def version(self) -> _Version:
        headers = self.response.headers
        return _Version(headers.get("ETag"), headers.get("Last-Modified"))


class _Ranges(Positioned):
    """The stream of bytes below a `RangeFile`. At most one response is being read."""

    def __init__(
        self, url: str, session: Session | None, options: RangeOptions, clock: Callable[[], float]
    ) -> None:
        self.name = redact(url)
        self._url = url
        self._options = options
        self._clock = clock
        self._session = session or Session()
        self._owns_session = session is None
        self._response: Any = None
        self._retries = self._session.retries()
        self._at = 0  # position in the file of the response's next byte
        self._end = 0  # position after its last byte
        self._progress = 0
        self._slow_bytes = 0
        self._slow_s = 0.0
        self._has_ranges = True
        self.version = _Version(None, None)
        self.bytes = 0
        self.bytes_read = 0
        self.requests = 0
        self._retry(self._open_first)

    def size(self) -> int:
        """Return the bytes of the file."""
        return int(self.bytes)

    def read_at(self, position: int, length: int) -> bytes:
        """Receive up to `length` bytes.

        Raises:
            SourceError: the file changed, or its server keeps failing.
        """
        if position >= self.bytes:
            return b""
        return self._retry(lambda: self._read(position, length))

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if not self.closed:
            self._drop()
            if self._owns_session:
                self._session.close()
        super().close()

    def _retry(self, action: Callable[[], _Result]) -> _Result:
        def attempt() -> _Result:
            try:
                return action()
            except TransientError:
                self._drop()
                raise

        return self._retries.call(attempt)

    def _read(self, position: int, length: int) -> bytes:
        is_ahead = self._response is not None and self._at <= position < self._end
        is_far = position - self._at > self._options.skip_bytes and self._has_ranges
        if not is_ahead or is_far:
            self._open_at(position)
        while self._at < position:
            self._receive(position - self._at)
        return self._receive(length)

    def _receive(self, length: int) -> bytes:
        begun = self._clock()
        try:
            data: bytes = self._response.read1(
                min(length, _CHUNK_BYTES, self._end - self._at), decode_content=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise TransientError(f"{self.name}: at byte {self._at:,}: {describe(exc)}") from exc
        if not data:
            raise TransientError(
                f"{self.name}: the connection was closed at byte {self._at:,} of {self.bytes:,}"
            )
        self._at += len(data)
        self.bytes_read += len(data)
        self._check_progress(len(data), self._clock() - begun)
        if self._at == self._end:
            self._drop()
        return data

    def _check_progress(self, received: int, waited_s: float) -> None:
        self._progress += received
        if self._progress >= self._options.progress_bytes:
            self._progress = 0
            self._retries.reset()
        self._slow_bytes += received
        self._slow_s += waited_s
        if self._slow_s >= self._options.low_speed_time_s:
            speed = self._slow_bytes / self._slow_s
            self._slow_bytes = 0
            self._slow_s = 0.0
            if speed < self._options.low_speed_bytes_per_s:
                raise TransientError(f"{self.name}: {speed:,.0f} bytes/s at byte {self._at:,}")

    def _drop(self) -> None:
        """Close the response. The session reuses the connection if the body was read to its end."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _request(self, range_: str, headers: dict[str, str]) -> _Part:
        self._drop()
        self.requests += 1
        response = self._session.stream(self._url, {"Range": range_, **headers})
        if response.status == 206:
            found = parse_content_range(response.headers.get("Content-Range", ""))
            if found:
                return _Part(response, *found)
        length = response.headers.get("Content-Length", "")
        size = int(length) if response.status == 200 and length.isdecimal() else -1
        return _Part(response, 0, size, size)

    def _open_first(self) -> None:
        part = self._request(f"bytes=0-{self._options.first_bytes - 1}", {})
        response = part.response
        if response.status == 416 and response.headers.get("Content-Range") == "bytes */0":
            response.close()
            return
        self._check(part)
        if part.start or part.size < 0:
            response.close()
            raise SourceError(
                f"{self.name}: the server does not report the size of the file; download it with "
                "another tool and give its path"
            )
        self.version = part.version
        self.bytes = part.size
        self._has_ranges = response.status == 206
        self._accept(part)

    def _open_at(self, position: int) -> None:
        if not self._has_ranges:
            raise SourceError(self._no_ranges())
        part = self._request(f"bytes={position}-", self.version.condition)
        is_changed = part.response.status == 416
        if part.size >= 0:
            is_changed |= part.size != self.bytes or self.version.differs(part.version)
        if is_changed:
            part.response.close()
            raise SourceError(
                f"{self.name}: the file changed on its server while it was read; run again to read "
                "the new version from its beginning"
            )
        self._check(part)
        if part.start != position:
            part.response.close()
            raise SourceError(self._no_ranges())
        self._accept(part)

    def _accept(self, part: _Part) -> None:
        self._response = part.response
        self._at = part.start
        self._end = part.end

    def _check(self, part: _Part) -> None:
        """Refuse a response that is not a part of a file."""
        status = part.response.status
        if status not in (200, 206):
            found = f"HTTP status {status}"
        elif part.response.headers.get("Content-Encoding", "identity") != "identity":
            found = "a compressed response"
        elif status == 206 and part.size < 0:
            found = "a response without a valid Content-Range"
        else:
            return
        part.response.close()
        raise SourceError(
            f"{self.name}: expected a file, got {found}; check the URL, and whether it requires a "
            "login"
        )

    def _no_ranges(self) -> str:
        return (
            f"{self.name}: the server does not support ranges, so reading cannot resume at byte "
            f"{self._position:,}; run again, or download the file with another tool and give its "
            "path"
        )
