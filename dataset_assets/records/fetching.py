"""What travels between a caller and what fetches and decodes URLs. Standard library only."""

from dataclasses import dataclass
from typing import Any

from dataset_assets.records.causes import Cause


@dataclass(frozen=True, slots=True)
class Request:
    """One URL to fetch."""

    url: str
    token: Any = None  # returned with the outcome; opaque to the fetcher


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """Result of one request: a body, or a cause with a message. Never an exception."""

    token: Any
    body: bytes | None = None
    cause: Cause | None = None
    message: str | None = None
    http_status: int = 0  # 0: no response
    content_type: str = ""  # as sent, lower case, without parameters
    url: str = ""  # after redirects, without user:password
    requests: int = 0  # made for this outcome, retries and redirects included
    redirects: int = 0  # followed on the way to `url`
    bytes_read: int = 0
    # What Content-Encoding says, in the order of application; the body is as received.
    codings: tuple[str, ...] = ()
    is_coding_chosen: bool = False  # whether the server chose them for this response


@dataclass(frozen=True, slots=True)
class Media:
    """A payload ready to be stored, or the cause of its absence."""

    payload: bytes | None = None
    extension: str = ""  # without the dot
    width: int | None = None  # px, as stored
    height: int | None = None
    original_width: int | None = None  # px, as fetched
    original_height: int | None = None
    exif: str | None = None  # JSON of tag name -> text
    cause: Cause | None = None
    message: str | None = None
    # After the end of the image as fetched: a polyglot file may hide a web page there.
    trailing_bytes: int = 0
