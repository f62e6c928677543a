"""What the photo server answers below `/shapes/`: the archives of `shapes`, whole or a range.

https://www.rfc-editor.org/rfc/rfc9110#name-range-requests
"""

import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING

from dataset_assets.demo.faults import Answer, answer

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def archive_answer(name: str, wanted: str | None) -> Answer:
    """Answer a request for an archive.

    Args:
        name: file name of the archive.
        wanted: value of the header `Range`; None, or one that is not understood: the whole file.
    """
    body = _archives().get(name)
    if body is None:
        return answer("404 Not Found", b"no such archive\n", "Content-Type: text/plain")
    headers = ("Content-Type: application/zip", f"ETag: {_etag(name)}", "Accept-Ranges: bytes")
    found = _RANGE.fullmatch(wanted or "")
    if found is None:
        return answer("200 OK", body, *headers)
    start = int(found[1])
    if start >= len(body):
        whole = f"Content-Range: bytes */{len(body)}"
        return answer("416 Range Not Satisfiable", b"", whole)
    part = body[start : int(found[2]) + 1 if found[2] else None]
    place = f"Content-Range: bytes {start}-{start + len(part) - 1}/{len(body)}"
    return answer("206 Partial Content", part, place, *headers)


def _archives() -> "Mapping[str, bytes]":
    # Loads OpenCV; the server starts without it.
    from dataset_assets.demo.shapes import archives

    return archives()


@cache
def _etag(name: str) -> str:
    return f'"{hashlib.sha256(_archives()[name]).hexdigest()[:16]}"'
