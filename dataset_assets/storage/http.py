"""What all clients of HTTP in this package have in common: which answers are transient, ranges."""

import re

TRANSIENT_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Answers after which the same request may succeed.

The server waited too long (408, 504) or did not want the request that early (425), has a limit
(429) or is in trouble (500, 502, 503). All others mean the same thing the next time.
"""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)


def parse_content_range(value: str) -> tuple[int, int, int] | None:
    """Return start, end and the size of the whole from a Content-Range header.

    The end is exclusive. None when the header does not say all of them.
    Format: https://www.rfc-editor.org/rfc/rfc9110#name-content-range
    """
    found = _CONTENT_RANGE.fullmatch(value)
    return (int(found[1]), int(found[2]) + 1, int(found[3])) if found else None
