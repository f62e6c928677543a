"""A file on a web server, read like one on disk: seekable, and unmoved by connections that break.

Reading forward is one GET whatever the number of reads; a seek forward by less than `skip_bytes` stays inside it. After a cut, a stall or an overloaded
server the same byte is asked for again with `Range` and `If-Range`, so that two versions of a file are never mixed.
Protocol: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests
"""

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import urllib3

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.fetch._attempts import Interrupted
from dataset_assets.fetch.options import MIB
from dataset_assets.fetch.session import Session, shown, why
from dataset_assets.storage.positioned import Positioned

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII).fullmatch
_CHUNK = MIB // 4  # received at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeOptions:
    """How a file is read. What its server may do is in `SessionOptions`.

    Raises:
        ConfigurationError: a value that can not work.
    """

    first_bytes: int = MIB // 16  # asked for at once, to learn size and version
    buffer_bytes: int = MIB
    skip_bytes: int = 4 * MIB  # a seek forward up to this far reads on instead of asking again
    progress_bytes: int = (
        MIB // 16
    )  # received between two failures: they are no longer counted as in a row
    low_speed_bytes_per_s: int = (
        1024  # slower than this over `low_speed_time_s` of waiting: ask again
    )
    low_speed_time_s: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            least, value = (
                0 if field.name in ("skip_bytes", "low_speed_bytes_per_s") else 1e-9,
                getattr(self, field.name),
            )
            if not value >= least:
                raise ConfigurationError(
                    f"{field.name}: expected {'0 or more' if least == 0 else 'a number above 0'}, got {value!r}"
                )


class RangeFile(io.BufferedReader):
    """A file at an http or https url. For one thread.

    Raises:
        SourceError: there is no such file, it changed while it was read, or its server keeps failing.
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
        """What the server names this version of the file by: its ETag, else its Last-Modified."""
        return self._ranges.version.etag or self._ranges.version.modified

    @property
    def bytes_read(self) -> int:
        """Bytes received so far, skipped ones included."""
        return self._ranges.bytes_read

    @property
    def requests(self) -> int:
        """Requests made so far, redirects not counted."""
        return self._ranges.requests


@dataclass(frozen=True, slots=True)
class _Version:
    """What a server says about the version of a file that it sends."""

    etag: str | None
    modified: str | None

    @property
    def condition(self) -> dict[str, str]:
        """The header that asks for a range of this version only; a weak ETag can not."""
        strong = self.modified if self.etag is None else self.etag
        return {"If-Range": strong} if strong and not strong.startswith("W/") else {}

    def differs(self, other: "_Version") -> bool:
        """Tell whether this is certainly not the other."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified))
        return next((mine != theirs for mine, theirs in pairs if mine and theirs), False)


class _Ranges(Positioned):
    """The stream of bytes below a `RangeFile`: at most one answer is being read."""

    def __init__(
        self, url: str, session: Session | None, options: RangeOptions, clock: Callable[[], float]
    ) -> None:
        self.name = shown(url)
        self._url, self._options, self._clock = url, options, clock
        self._session, self._owns_session = session or Session(), session is None
        self._answer: Any = None
        self._attempts = self._session.attempts()
        self._at = self._end = 0  # next byte of the answer, and its end
        self._progress, self._slow_bytes, self._slow_s = 0, 0, 0.0
        self._has_ranges, self.version = True, _Version(None, None)
        self.bytes = self.bytes_read = self.requests = 0
        self._patiently(self._open_first)

    def size(self) -> int:
        """See `Positioned`."""
        return int(self.bytes)

    def read_at(self, position: int, length: int) -> bytes:
        """Receive some bytes.

        Raises:
            SourceError: they can not be had.
        """
        if position >= self.bytes:
            return b""
        data: bytes = self._patiently(lambda: self._read(position, length))
        return data

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if not self.closed:
            self._drop()
            if self._owns_session:
                self._session.close()
        super().close()

    def _patiently(self, action: Callable[[], Any]) -> Any:
        while True:
            try:
                return action()
            except Interrupted as exc:
                self._drop()
                self._attempts.failed(exc)

    def _read(self, position: int, length: int) -> bytes:
        gap = position - self._at
        if (
            self._answer is None
            or gap < 0
            or position >= self._end
            or (gap > self._options.skip_bytes and self._has_ranges)
        ):
            self._open_at(position)
        while self._at < position:
            self._receive(position - self._at)
        return self._receive(length)

    def _receive(self, length: int) -> bytes:
        begun = self._clock()
        try:
            data: bytes = self._answer.read1(
                min(length, _CHUNK, self._end - self._at), decode_content=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise Interrupted(f"{self.name}: at byte {self._at:,}: {why(exc)}") from exc
        if not data:
            raise Interrupted(
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
            self._attempts.succeeded()
        self._slow_bytes += received
        self._slow_s += waited_s
        if self._slow_s >= self._options.low_speed_time_s:
            slow, self._slow_bytes, self._slow_s = self._slow_bytes / self._slow_s, 0, 0.0
            if slow < self._options.low_speed_bytes_per_s:
                raise Interrupted(f"{self.name}: {slow:,.0f} bytes/s at byte {self._at:,}")

    def _drop(self) -> None:
        """Give the answer up. A connection whose answer was read to its end is kept by the session."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _ask(self, range_: str, headers: dict[str, str]) -> tuple[Any, int, int, int]:
        """Send a request; return the answer, and of its body first byte, end, and the size of the whole file; -1 when not told."""
        self._drop()
        self.requests += 1
        answer = self._session.stream(self._url, {"Range": range_, **headers})
        found = (
            _CONTENT_RANGE(answer.headers.get("Content-Range", ""))
            if answer.status == 206
            else None
        )
        if found:
            return answer, int(found[1]), int(found[2]) + 1, int(found[3])
        length = answer.headers.get("Content-Length", "")
        size = int(length) if answer.status == 200 and length.isdecimal() else -1
        return answer, 0, size, size

    def _open_first(self) -> None:
        answer, start, end, size = self._ask(f"bytes=0-{self._options.first_bytes - 1}", {})
        if answer.status == 416 and answer.headers.get("Content-Range") == "bytes */0":
            answer.close()
            return
        self._check(answer, size)
        if start or size < 0:
            answer.close()
            raise SourceError(
                f"{self.name}: the server does not tell how long the file is; download it with another tool and give its path"
            )
        self.version, self.bytes, self._has_ranges = _version_of(answer), size, answer.status == 206
        self._accept(answer, start, end)

    def _open_at(self, position: int) -> None:
        if not self._has_ranges:
            raise SourceError(self._no_ranges())
        answer, start, end, size = self._ask(f"bytes={position}-", self.version.condition)
        if answer.status == 416 or (
            size >= 0 and (size != self.bytes or self.version.differs(_version_of(answer)))
        ):
            answer.close()
            raise SourceError(
                f"{self.name}: the file changed on its server while it was read; run again to read the new one from its beginning"
            )
        self._check(answer, size)
        if start != position:
            answer.close()
            raise SourceError(self._no_ranges())
        self._accept(answer, start, end)

    def _accept(self, answer: Any, start: int, end: int) -> None:
        self._answer, self._at, self._end = answer, start, end

    def _check(self, answer: Any, size: int) -> None:
        """Refuse an answer that is no part of a file."""
        coding = answer.headers.get("Content-Encoding", "identity")
        if (
            answer.status in (200, 206)
            and coding == "identity"
            and (answer.status == 200 or size >= 0)
        ):
            return
        answer.close()
        wrong = (
            f"HTTP status {answer.status}"
            if answer.status not in (200, 206)
            else "an answer that is packed, or says not which range it is"
        )
        raise SourceError(
            f"{self.name}: expected a file, got {wrong}; check the url, and whether it needs a login"
        )

    def _no_ranges(self) -> str:
        return (
            f"{self.name}: the server sends no ranges, so reading can not go on at byte {self._position:,}; "
            "run again, or download it with another tool and give its path"
        )


def _version_of(answer: Any) -> _Version:
    return _Version(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
