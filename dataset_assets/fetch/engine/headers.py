"""What the headers of an answer forbid, read before any of the body is.

`X-Robots-Tag` has img2dataset's meaning: `noai, noindex` speaks to everybody, `name: noai` only to the robot of exactly that name; any of several headers
counts. `tdm-reservation: 1` is https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240202/. Nothing is decompressed, so a compressed body is refused.
"""

from collections.abc import Iterator, Sequence

from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause

#: codings that leave a body as it is; all but the first are mistakes of servers that mean it
_UNCODED = frozenset((b"identity", b"", b"none", b"binary", b"utf-8"))
#: directives that have a value after a colon, which is not a robot's name before one
_VALUED = frozenset(
    (b"max-snippet", b"max-image-preview", b"max-video-preview", b"unavailable_after")
)


class HeaderCheck:
    """Judges the header lines of an answer with status 200."""

    def __init__(self, options: FetchOptions) -> None:
        self._limit = options.max_header_bytes
        self._directives = frozenset(
            entry.lower().encode() for entry in options.disallowed_directives
        )
        self._name = (options.user_agent_token or "").lower().encode()
        self._tdm = options.tdm_reservation

    def refuses(self, lines: Sequence[bytes], *, consent: bool = True) -> Cause | None:
        """Tell why the body must not be read, or None. `consent=False` leaves out what the server asks of robots."""
        head = b"".join(lines).lower()
        if len(head) > self._limit:
            return Cause.PROTOCOL_ERROR
        if b"content-encoding:" in head and any(
            value not in _UNCODED for value in _values(lines, b"content-encoding")
        ):
            return Cause.BAD_ENCODING
        if (
            consent
            and (b"x-robots-tag:" in head or b"tdm-reservation:" in head)
            and self._opts_out(lines)
        ):
            return Cause.OPT_OUT
        return None

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
    """Yield the values of a header, lower case."""
    for line in lines:
        found, _, value = line.lower().partition(b":")
        if found.strip() == name:
            yield value.strip()
