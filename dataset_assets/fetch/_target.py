"""Text that claims to be a url becomes a `Target` that can be fetched, or a cause why not.

The host is read by libcurl's own parser, so that what is checked here and what is connected to can not differ. Follows https://url.spec.whatwg.org where
lists in the wild need it: surrounding spaces go, spaces and other characters are percent-encoded, host names become punycode.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import quote

import pycurl

from dataset_assets.fetch._causes import Failure, failure
from dataset_assets.fetch.addresses import BAD_PORTS
from dataset_assets.records.causes import Cause

MAX_URL_LENGTH = 8192
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"(https?://[a-z0-9.\-]+(?::[0-9]{1,5})?)[/?][!-~]*", re.ASCII).fullmatch
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.*)", re.DOTALL).fullmatch
_REST = re.compile(r"//([^/?#]*)([^#]*)", re.DOTALL).match
_USER = re.compile(r"(?<=//)[^/?#]*@").sub
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_DEVIATION = frozenset(
    "\u00df\u03c2\u200c\u200d"
)  # letters that the standard library's older IDNA would replace


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a url points: scheme, host and port."""

    scheme: str
    host: str  # ASCII, lower case; IPv6 without brackets
    port: int
    literal: bool  # the host is a numeric address
    authority: (
        str  # "host:port", IPv6 in brackets: what connections and looked-up names are kept by
    )
    site: str  # what politeness is counted by: the host, and the port unless it is a default one
    root: str  # "https://host:port", the port left out where it is the default


class Target(NamedTuple):
    """A url that can be fetched."""

    url: str  # for libcurl: percent-encoded, with user:password where the list had them
    origin: Origin


def parse(text: object) -> Target | Failure:
    """Read a url. Never raises: whatever can not be fetched is a `Failure`."""
    if isinstance(text, str) and len(text) <= MAX_URL_LENGTH:
        plain = _PLAIN(text)
        if plain is not None:
            origin = origin_of(plain[1])
            return Target(text, origin) if isinstance(origin, Origin) else origin
    return _parse_unusual(text)


def shown(url: str) -> str:
    """Return the url without user and password, for people and files."""
    return _USER("", url, count=1) if "@" in url else url


def _parse_unusual(text: object) -> Target | Failure:
    if not isinstance(text, str) or not text.strip():
        return _invalid("the url is empty, or not text")
    text = text.strip()
    if len(text) > MAX_URL_LENGTH:
        return _invalid(f"the url is longer than {MAX_URL_LENGTH} characters")
    split = _SCHEME(text)
    if split is None or _CONTROL(text):
        return _invalid("the url has control characters" if split else "the url has no scheme")
    scheme, rest = split[1].lower(), _REST(split[2])
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
    """Read `scheme://host:port`."""
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
    usual = port == _DEFAULT_PORTS[scheme]
    return Origin(
        scheme=scheme,
        host=host.strip("[]"),
        port=port,
        literal=_is_literal(host.strip("[]")),
        authority=f"{host}:{port}",
        site=host if usual else f"{host}:{port}",
        root=f"{scheme}://{host}" if usual else f"{scheme}://{host}:{port}",
    )


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ascii_host(place: str) -> str:
    """Punycode a host and leave its port alone.

    Raises:
        UnicodeError: no host name has these characters.
    """
    if place.isascii():
        return place.lower()
    host, colon, port = place.partition(":")
    for dot in "\u3002\uff0e\uff61":
        host = host.replace(dot, ".")
    return ".".join(_ascii_label(label) for label in host.split(".")) + colon + port


def _ascii_label(label: str) -> str:
    if _DEVIATION.isdisjoint(label):
        return label.encode("idna").decode("ascii")
    return "xn--" + unicodedata.normalize("NFKC", label.lower()).encode("punycode").decode("ascii")
