"""What the photo server answers: photographs, and for about 6 % of the rows the faults of the web.

The first part of a path names the kind of answer. `KINDS` documents how many rows of the lists have
each kind, what the server does, and how the row ends when nothing is retried. These are pure
functions from a request to the bytes of an answer; sockets and clocks are in `photo_server`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from dataset_assets.demo.crops import MEDIA_TYPES, encode
from dataset_assets.demo.photos import Crop
from dataset_assets.records.causes import Cause

ROBOTS_TXT = b"User-agent: *\nDisallow: /private/\n"
RETRY_AFTER_S = 1
_HUGE_BYTES = 10_000_000_000
_PAGE = (
    b"<!DOCTYPE html><html><head><title>Gallery</title></head><body>"
    b"<p>This photograph has moved to our new gallery.</p></body></html>\n"
)


class End(Enum):
    """What happens to the connection after an answer."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes to send: pairs of a delay in seconds and the bytes sent after it."""

    pieces: tuple[tuple[float, bytes], ...]
    end: End = End.KEEP


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a crop. `earlier` is the number of requests for this path before it."""

    path: str
    crop: Crop
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to answer."""

    rows: int
    """Rows of the lists; all other rows are plain photographs."""
    meaning: str
    """What the server sends."""
    cause: Cause | None
    """How the row fails without retries. None: it has a sample."""
    answer: Callable[[Asked], Answer]
    """Makes the answer."""
    on_busy_host: bool = False
    """Whether the URL names another host: a host that is overloaded is paused as a whole, and the
    other URLs need not wait for it."""
    among_first: float = 1.0
    """The rows are in this first part of the lists, as a fraction."""


def answer(
    status: str, body: bytes = b"", *headers: str, length: int | None = None, end: End = End.KEEP
) -> Answer:
    """Return an answer that is sent at once. `length` is a false Content-Length."""
    return Answer(
        ((0.0, _head(status, *headers, length=len(body) if length is None else length) + body),),
        end,
    )


def json_answer(value: object) -> Answer:
    """Return an answer that holds JSON."""
    return answer("200 OK", json.dumps(value).encode(), "Content-Type: application/json")


def _head(status: str, *headers: str, length: int) -> bytes:
    return "\r\n".join(
        (f"HTTP/1.1 {status}", f"Content-Length: {length}", *headers, "", "")
    ).encode()


def _media_type(asked: Asked) -> str:
    return f"Content-Type: {MEDIA_TYPES[asked.crop.extension]}"


def _photo(asked: Asked, *headers: str) -> Answer:
    return answer("200 OK", encode(asked.crop), _media_type(asked), *headers)


def _status(status: str) -> Callable[[Asked], Answer]:
    return lambda _: answer(status, _PAGE, "Content-Type: text/html")


def _first(status: str, *headers: str) -> Callable[[Asked], Answer]:
    return lambda asked: (
        _photo(asked)
        if asked.earlier
        else answer(status, b"try again\n", "Content-Type: text/plain", *headers)
    )


def _moved(asked: Asked) -> Answer:
    return answer("302 Found", b"", f"Location: /photos/{asked.crop.path}")


def _loop(asked: Asked) -> Answer:
    return answer("302 Found", b"", f"Location: {asked.path}")


def _late(asked: Asked) -> Answer:
    body = encode(asked.crop)
    quarter = len(body) // 4 + 1
    head = _head("200 OK", _media_type(asked), length=len(body))
    return Answer(
        (
            (0.25, head),
            *((0.25, body[start : start + quarter]) for start in range(0, len(body), quarter)),
        )
    )


def _drip(asked: Asked) -> Answer:
    body = encode(asked.crop)
    head = _head("200 OK", _media_type(asked), length=len(body))
    return Answer(
        ((0.0, head), *((0.2, body[start : start + 20]) for start in range(0, 6000, 20))), End.CLOSE
    )


def _cut(asked: Asked) -> Answer:
    body = encode(asked.crop)
    return answer(
        "200 OK", body[: len(body) // 2], _media_type(asked), length=len(body), end=End.CLOSE
    )


def _torn(asked: Asked) -> Answer:
    body = encode(asked.crop)
    return answer("200 OK", body[: len(body) // 2], _media_type(asked))


def _empty(asked: Asked) -> Answer:
    return answer("200 OK", b"", _media_type(asked))


def _reset(asked: Asked) -> Answer:
    body = encode(asked.crop)
    head = _head("200 OK", _media_type(asked), length=len(body))
    # A reset directly after the bytes would overtake them.
    return Answer(((0.0, head + body[:1000]), (0.05, b"")), End.RESET)


def _oversize(asked: Asked) -> Answer:
    return answer(
        "200 OK", encode(asked.crop)[:1000], _media_type(asked), length=_HUGE_BYTES, end=End.CLOSE
    )


def _html(asked: Asked) -> Answer:
    return answer("200 OK", _PAGE, _media_type(asked))


def _opt_out(asked: Asked) -> Answer:
    return _photo(asked, "X-Robots-Tag: noai, noimageai")


PHOTOS_KIND = "photos"

KINDS: dict[str, Kind] = {
    PHOTOS_KIND: Kind(0, "the photograph", None, _photo),
    "late": Kind(4, "the photograph, in pieces over 1.25 s", None, _late),
    "moved": Kind(10, "302 to the photograph", None, _moved),
    "missing": Kind(24, "404", Cause.HTTP_NOT_FOUND, _status("404 Not Found")),
    "gone": Kind(6, "410", Cause.HTTP_NOT_FOUND, _status("410 Gone")),
    "forbidden": Kind(12, "403", Cause.HTTP_FORBIDDEN, _status("403 Forbidden")),
    "busy": Kind(
        8,
        "503, then the photograph",
        Cause.HTTP_SERVER_ERROR,
        _first("503 Service Unavailable"),
        on_busy_host=True,
    ),
    "limited": Kind(
        6,
        f"429 with Retry-After: {RETRY_AFTER_S}, then the photograph",
        Cause.HTTP_RATE_LIMITED,
        _first("429 Too Many Requests", f"Retry-After: {RETRY_AFTER_S}"),
        on_busy_host=True,
    ),
    "reset": Kind(
        4,
        "part of the photograph, then a connection reset",
        Cause.CONNECTION_RESET,
        _reset,
        on_busy_host=True,
    ),
    "drip": Kind(
        4,
        "the photograph at 100 bytes/s, closed after a minute",
        Cause.TOO_SLOW,
        _drip,
        among_first=0.05,
    ),
    "cut": Kind(8, "half of the photograph, then a closed connection", Cause.INCOMPLETE_BODY, _cut),
    "torn": Kind(
        6, "half of the file, with a Content-Length that matches it", Cause.DECODE_ERROR, _torn
    ),
    "html": Kind(10, "an HTML page with the content type of an image", Cause.NOT_IMAGE, _html),
    "optout": Kind(10, "X-Robots-Tag: noai, noimageai", Cause.OPT_OUT, _opt_out),
    "loop": Kind(4, "302 to itself", Cause.TOO_MANY_REDIRECTS, _loop),
    "empty": Kind(4, "no body", Cause.EMPTY_BODY, _empty),
    "oversize": Kind(4, "a Content-Length of 10 GB", Cause.TOO_LARGE, _oversize),
    "private": Kind(
        8, "the photograph, although robots.txt disallows it", Cause.ROBOTS_TXT, _photo
    ),
}
