"""Which addresses and ports may be reached: the guard against requests into private networks.

`AddressGuard.refuses` checks every socket of a fetch, after name resolution and at every redirect.
`refuses_name` checks what is asked of a proxy, which looks the name up where nobody here sees it.
Public means globally reachable by the IANA special-purpose registries. The list corrects versions
of Python's `ipaddress` that report too many addresses as global. An IPv4 address embedded in an
IPv6 address is checked itself.
"""

import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.causes import Cause

_BAD_PORTS = """
0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113
115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556
563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666
6667 6668 6669 6679 6697 10080
445 2375 2376 3306 3389 5432 5900 6379 11211 27017
"""
#: https://fetch.spec.whatwg.org/#port-blocking; the last line has databases, caches and remote
#: shells that respond to plain text.
BAD_PORTS = frozenset(int(port) for port in _BAD_PORTS.split())

_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, cloud metadata at 100.100.100.200
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
)
#: Top-level domains of private networks: https://www.rfc-editor.org/rfc/rfc6762#appendix-G
_PRIVATE_DOMAINS = frozenset(
    {"localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan"}
)
_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_6TO4 = ip_network("2002::/16")
_TEREDO = ip_network("2001::/32")

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


class AddressGuard:
    """Decides which addresses may be reached.

    `allow` lists CIDR networks that may be reached although they are not public; "all" allows every
    address.
    """

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._all = "all" in allow
        self._allowed = tuple(_network(text) for text in allow if text != "all")
        self.refuses = lru_cache(maxsize=4096)(self._refuses)

    def _refuses(self, ip: str, port: int) -> Cause | None:
        """Tell why a numeric address and port must not be reached, or None."""
        if port in BAD_PORTS:
            return Cause.BLOCKED_PORT
        if self._all:
            return None
        try:
            address: _Address = ip_address(ip.partition("%")[0])
        except ValueError:
            return Cause.BLOCKED_ADDRESS
        return None if self._reachable(address) else Cause.BLOCKED_ADDRESS

    def refuses_name(self, name: str) -> Cause | None:
        """Tell why a host name must not be asked of a proxy, or None."""
        bare = name.rstrip(".")
        top = bare.rpartition(".")[2]
        try:
            return self._refuses(socket.inet_ntoa(socket.inet_aton(bare)), 80)
        except OSError:
            pass  # no number
        if top == "localhost":
            return self._refuses("127.0.0.1", 80)
        is_private = "." not in bare or top in _PRIVATE_DOMAINS or bare.endswith(".home.arpa")
        return Cause.BLOCKED_ADDRESS if is_private and not self._all else None

    def _reachable(self, address: _Address) -> bool:
        ends = {address, _embedded(address) or address}
        if any(end in network for network in self._allowed for end in ends):
            return True
        return all(_is_public(end) for end in ends)


def _is_public(address: _Address) -> bool:
    if _embedded(address) is not None:
        return True  # the embedded address decides
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


def _embedded(address: _Address) -> IPv4Address | None:
    """Return the IPv4 address that packets to an IPv6 address reach, if any."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _6TO4:
        return address.sixtofour
    if address in _TEREDO and address.teredo is not None:
        return address.teredo[1]
    return None


def _network(text: str) -> _Network:
    try:
        return ip_network(text)
    except ValueError as exc:
        raise ConfigurationError(
            'allow_private_networks: expected networks such as "127.0.0.0/8", or "all", '
            f"got {text!r}: {exc}"
        ) from exc
