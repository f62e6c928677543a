"""Which proxy a request goes through: the one that the option names, or those of the environment.

`http_proxy`, `https_proxy` and `all_proxy` name the proxy of a scheme, in lower or upper case;
lower case wins, and an empty value means none. Hosts of `no_proxy` are reached directly: names with
all names below them, addresses, networks (CIDR), each with an optional port, or `*` for all. A
proxy of the environment is never asked for the loopback of this machine.
The convention: https://curl.se/docs/manpage.html#ENVIRONMENT
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from dataset_assets.errors import ConfigurationError

_SCHEMES = ("http", "https")
#: Schemes of proxies with their default ports.
_PORTS = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}
#: A proxy looks names up itself.
_BY_NAME = {"socks4": "socks4a", "socks5": "socks5h"}


class Proxies:
    """The proxy of each origin.

    Args:
        option: URL of the proxy of every request; "": none; None: those of the environment.
        environment: variables. Default: those of this process, now.

    Raises:
        ConfigurationError: the URL of a proxy is not valid. The message does not have the URL.
    """

    def __init__(self, option: str | None, environment: Mapping[str, str] | None = None) -> None:
        self._exempt: tuple[_Exemption, ...] = ()
        self._is_given = option is not None
        if option is not None:
            self._of_scheme = dict.fromkeys(_SCHEMES, checked_proxy("proxy", option))
        else:
            variables = os.environ if environment is None else environment
            self._of_scheme = {scheme: _read(variables, scheme) for scheme in _SCHEMES}
            entries = _value(variables, "no_proxy")[1].replace(",", " ").split()
            self._exempt = tuple(_exemption(entry) for entry in entries)
        self.is_used = any(self._of_scheme.values())
        self.of = lru_cache(maxsize=16384)(self._of)

    def __str__(self) -> str:
        """Name the proxies, without user and password."""
        places = {url.rpartition("@")[2].rpartition("//")[2] for url in self._of_scheme.values()}
        return ", ".join(sorted(places - {""}))

    def _of(self, scheme: str, host: str, port: int) -> str:
        """Return the URL of the proxy of an origin, or "". `host` is in lower case."""
        proxy = self._of_scheme[scheme]
        if not proxy or self._is_given:
            return proxy
        host = host.rstrip(".")
        is_exempt = _is_loopback(host) or any(each.has(host, port) for each in self._exempt)
        return "" if is_exempt else proxy


def checked_proxy(name: str, value: str) -> str:
    """Return the URL of a proxy with its port, or "" for none.

    Raises:
        ConfigurationError: it is not valid.
    """
    if not value:
        return ""
    try:
        parsed = urlsplit(value)
        port = parsed.port
    except ValueError:
        raise _invalid(name) from None
    is_plain = value.isascii() and value.isprintable() and " " not in value
    is_server = (
        parsed.hostname and parsed.path in ("", "/") and not (parsed.query + parsed.fragment)
    )
    if parsed.scheme not in _PORTS or not is_plain or not is_server:
        raise _invalid(name)
    place = parsed.netloc if port else f"{parsed.netloc.rstrip(':')}:{_PORTS[parsed.scheme]}"
    return f"{_BY_NAME.get(parsed.scheme, parsed.scheme)}://{place}"


def _invalid(name: str) -> ConfigurationError:
    *schemes, last = _PORTS
    return ConfigurationError(  # without the value: it can hold a password
        f"{name}: expected a URL such as http://host:port, with the scheme {', '.join(schemes)} or "
        f"{last}, got another text; correct it, and write special characters of a user or a "
        "password as %XX"
    )


def _read(variables: Mapping[str, str], scheme: str) -> str:
    name, value = _value(variables, f"{scheme}_proxy", "all_proxy")
    return checked_proxy(name, value if "://" in value or not value else f"http://{value}")


def _value(variables: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return the first variable that is set, and its value."""
    for name in names:
        for spelled in (name, name.upper()):
            # Servers that run programs for a request set HTTP_PROXY to its header `Proxy`.
            is_header = spelled == "HTTP_PROXY" and "REQUEST_METHOD" in variables
            if spelled in variables and not is_header:
                return spelled, variables[spelled].strip()
    return names[0], ""


class _Exemption(NamedTuple):
    """An entry of `no_proxy`."""

    name: str
    port: int | None
    network: IPv4Network | IPv6Network | None

    def has(self, host: str, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return _is_in(host, self.network)
        return self.name in ("*", host) or host.endswith(f".{self.name}")


def _exemption(entry: str) -> _Exemption:
    name, port = entry.lower(), None
    head, colon, tail = name.rpartition(":")
    if colon and tail.isdecimal() and (":" not in head or head.endswith("]")):
        name, port = head, int(tail)
    try:
        network = ip_network(name.strip("[]"), strict=False)
    except ValueError:
        network = None
    bare = name if name == "*" else name.removeprefix("*").strip(".")
    return _Exemption(bare, port, network)


def _is_in(host: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(host) in network
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
