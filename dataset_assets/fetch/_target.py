"""Parses a URL of a list into a `Target` that can be fetched, or a cause why it cannot.

libcurl's own parser reads the host, so the host that is checked is the host that is connected to.
Follows https://url.spec.whatwg.org where real lists need it: surrounding spaces are removed, spaces
and other characters are percent-encoded, and host names become punycode.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import quote

import idna
import pycurl

from dataset_assets.fetch._causes import Failure, failure
from dataset_assets.fetch.addresses import BAD_PORTS
from dataset_assets.records.causes import Cause

MAX_URL_LENGTH = 8192
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"(https?://[a-z0-9.\-]+(?::[0-9]{1,5})?)[/?][!-~]*", re.ASCII).fullmatch
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.*)", re.DOTALL).fullmatch
_REST = re.compile(r"//([^/?#]*)([^#]*)", re.DOTALL).match
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_MAX_LABEL_LENGTH = 63


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a URL."""

    scheme: str
    host: str
    """ASCII, lower case; IPv6 without brackets."""
    port: int
    literal: bool
    """Whether the host is a numeric address."""
    authority: str
    """`host:port`, IPv6 in brackets: the key of connections and resolutions."""
    site: str
    """The key of limits per host: the host, with the port unless it is the default."""
    root: str
    """`https://host:port`, without the port if it is the default."""


class Target(NamedTuple):
    """A URL that can be fetched."""

    url: str
    """For libcurl: percent-encoded, with the user and password that the list has."""
    origin: Origin


def parse(text: object) -> Target | Failure:
    """Parse a URL. Never raises: returns a `Failure` for whatever cannot be fetched."""
    if isinstance(text, str) and len(text) <= MAX_URL_LENGTH:
        plain = _PLAIN(text)
        if plain is not None:
            origin = origin_of(plain[1])
            return Target(text, origin) if isinstance(origin, Origin) else origin
    return _parse_unusual(text)


def _parse_unusual(text: object) -> Target | Failure:
    if not isinstance(text, str) or not text.strip():
        return _invalid("the url is empty, or not text")
    text = text.strip()
    if len(text) > MAX_URL_LENGTH:
        return _invalid(f"the url is longer than {MAX_URL_LENGTH} characters")
    split = _SCHEME(text)
    if split is None or _CONTROL(text):
        return _invalid("the url has control characters" if split else "the url has no scheme")
    scheme = split[1].lower()
    rest = _REST(split[2])
    if scheme not in _DEFAULT_PORTS:
        return failure(Cause.BLOCKED_SCHEME)
    return _assemble(scheme, rest[1], rest[2]) if rest else _invalid("the url has no host")


def _invalid(message: str) -> Failure:
    return Failure(Cause.INVALID_URL, message)


def _assemble(scheme: str, authority: str, path: str) -> Target | Failure:
    user, at, place = authority.rpartition("@")
    try:
        origin = origin_of(f"{scheme}://{_ascii_host(place)}")
        tail = quote(path if path.startswith("/") else f"/{path}", safe=_PRINTABLE)
        credentials = quote(user, safe="%:!$&'()*+,;=-._~") + at
    except UnicodeError:
        return _invalid("the url has characters that can not be encoded")
    if isinstance(origin, Failure):
        return origin
    return Target(f"{scheme}://{credentials}{origin.root.partition('//')[2]}{tail}", origin)


@lru_cache(maxsize=16384)
def origin_of(prefix: str) -> Origin | Failure:
    """Parse `scheme://host:port`."""
    try:
        parsed = pycurl.CurlUrl(prefix)
    except (pycurl.error, ValueError):
        return _invalid("the url's host or port is not valid")
    if parsed.zoneid or not parsed.host:
        return _invalid("the url's host is not valid")
    port = int(parsed.port or _DEFAULT_PORTS[parsed.scheme])
    if port in BAD_PORTS:
        return failure(Cause.BLOCKED_PORT)
    return _origin(parsed.scheme, parsed.host.lower(), port)


def _origin(scheme: str, host: str, port: int) -> Origin:
    authority = f"{host}:{port}"
    site = host if port == _DEFAULT_PORTS[scheme] else authority
    return Origin(
        scheme=scheme,
        host=host.strip("[]"),
        port=port,
        literal=_is_literal(host.strip("[]")),
        authority=authority,
        site=site,
        root=f"{scheme}://{site}",
    )


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ascii_host(place: str) -> str:
    """Encode a host in punycode, and leave its port unchanged.

    Browsers resolve names that IDNA 2008 forbids, such as emoji. Therefore characters are mapped by
    UTS 46 (https://www.unicode.org/reports/tr46/), but not restricted to those of IDNA 2008.

    Raises:
        UnicodeError: the characters cannot form a host name.
    """
    if place.isascii():
        return place.lower()
    host, colon, port = place.partition(":")
    mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
    return ".".join(_ascii_label(label) for label in mapped.split(".")) + colon + port


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    idna.check_bidi(label)
    encoded = "xn--" + label.encode("punycode").decode("ascii")
    if len(encoded) > _MAX_LABEL_LENGTH:
        raise UnicodeError("the label is too long")
    return encoded
