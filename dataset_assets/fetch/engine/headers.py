"""Checks the headers of a response before its body is read: opt-outs, compression, size.

`X-Robots-Tag` has the meaning that img2dataset gives it: `noai, noindex` applies to every robot,
`name: noai` only to the robot of exactly that name, and any of several headers counts.
`tdm-reservation: 1` is https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240202/.
Bodies are never decompressed, so compressed ones are refused.
"""

from collections.abc import Iterator, Sequence

from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause

#: Codings that leave a body unchanged. All but the first are common mistakes of servers.
_UNCODED = frozenset((b"identity", b"", b"none", b"binary", b"utf-8"))
#: Directives with a value after a colon. What precedes the colon is not a robot's name.
_VALUED = frozenset(
    (b"max-snippet", b"max-image-preview", b"max-video-preview", b"unavailable_after")
)


class HeaderCheck:
    """Checks the header lines of a response with status 200."""

    def __init__(self, options: FetchOptions) -> None:
        self._limit = options.max_header_bytes
        self._directives = frozenset(
            entry.lower().encode() for entry in options.disallowed_directives
        )
        self._name = (options.user_agent_token or "").lower().encode()
        self._tdm = options.tdm_reservation

    def refuses(self, lines: Sequence[bytes], *, consent: bool = True) -> Cause | None:
        """Tell why the body must not be read, or None.

        `consent=False` ignores opt-outs: for robots.txt itself.
        """
        head = b"".join(lines).lower()
        if len(head) > self._limit:
            return Cause.PROTOCOL_ERROR
        if b"content-encoding:" in head and any(
            value not in _UNCODED for value in _values(lines, b"content-encoding")
        ):
            return Cause.BAD_ENCODING
        if not consent:
            return None
        may_opt_out = b"x-robots-tag:" in head or b"tdm-reservation:" in head
        return Cause.OPT_OUT if may_opt_out and self._opts_out(lines) else None

    def _opts_out(self, lines: Sequence[bytes]) -> bool:
        if self._tdm and b"1" in _values(lines, b"tdm-reservation"):
            return True
        return any(
            not self._directives.isdisjoint(self._directives_for_us(value))
            for value in _values(lines, b"x-robots-tag")
        )

    def _directives_for_us(self, value: bytes) -> list[bytes]:
        name, colon, rest = value.partition(b":")
        scoped = colon and b"," not in name and name.strip() not in _VALUED
        if scoped and name.strip() != self._name:
            return []
        return [entry.strip() for entry in (rest if scoped else value).split(b",")]


def _values(lines: Sequence[bytes], name: bytes) -> Iterator[bytes]:
    """Yield the values of a header in lower case."""
    for line in lines:
        found, _, value = line.lower().partition(b":")
        if found.strip() == name:
            yield value.strip()
