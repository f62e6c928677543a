"""Options for fetching URLs, validated on construction. Defaults are safe on the open internet."""

import math
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.fetch.proxies import checked_proxy

MIB = 1 << 20
DEFAULT_USER_AGENT = "dataset_assets/0.1"
#: `X-Robots-Tag` directives against use in datasets: those of img2dataset, and `noml`.
OPT_OUT_DIRECTIVES = ("noai", "noimageai", "noindex", "noimageindex", "noml")
_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How URLs are fetched.

    Raises:
        ConfigurationError: a value is not valid.
    """

    max_connections: int = 256
    """Concurrent requests. Lowered where the process may not open that many files."""
    timeout_s: float = 10.0
    """Seconds to connect, to the first byte, and between two bytes: each."""
    total_timeout_s: float | None = None
    """Seconds of one attempt, redirects included; infinite: any time. Default: 3 times `timeout_s`.
    """
    low_speed_bytes_per_s: int = 1024
    """A slower transfer over `low_speed_time_s` fails. 0: only the timeouts apply."""
    low_speed_time_s: float = 5.0
    """Seconds over which the speed is measured."""
    max_bytes: int = 64 * MIB
    """Bytes of one body."""
    allow_empty: bool = False
    """Whether an empty body is a file, if the response says that it is empty."""
    max_header_bytes: int = 64 * 1024
    """Bytes of the headers of one response."""
    max_redirects: int = 10
    """Redirects of one attempt."""
    max_buffered_bytes: int = 64 * MIB
    """Bytes of bodies in flight or not yet consumed, above which no request is started."""
    retries: int = 0
    """Attempts after the first, for transient causes only. Unless 0, one more for 429 and 503 with
    Retry-After from a host that has answered well. A request that a kept connection did not answer
    is sent again on a new one: that takes a retry, and with 0 it is done once."""
    backoff_s: float = 1.0
    """First pause in seconds of a retry, an overloaded host and a host that refuses. Doubles each
    time. A host that has only ever refused is given up after 5 times this."""
    max_backoff_s: float = 30.0
    """Longest pause in seconds."""
    max_retry_after_s: float = 120.0
    """A longer Retry-After, in seconds, is a failure."""
    user_agent: str = DEFAULT_USER_AGENT
    """Name the product and how to reach you."""
    user_agent_token: str | None = None
    """Name of this robot in robots.txt and X-Robots-Tag. Default: the product."""
    disallowed_directives: tuple[str, ...] = OPT_OUT_DIRECTIVES
    """Directives of X-Robots-Tag to respect. Empty: X-Robots-Tag is ignored."""
    tdm_reservation: bool = True
    """Respect `tdm-reservation: 1`."""
    robots_txt: bool = False
    """Respect robots.txt."""
    allow_private_networks: tuple[str, ...] = ()
    """CIDR networks that may be reached although they are not public, or "all"."""
    max_connections_per_host: int | None = None
    """Concurrent requests to one host. Default: no limit."""
    max_requests_per_s_per_host: float | None = None
    """Requests per second to one host. Default: no limit."""
    ca_file: str | None = None
    """PEM file of certificate authorities. Default: the system's, or certifi's."""
    verify_tls: bool = True
    """Verify certificates."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with a URL, and with its redirects on the same host."""
    header_hosts: tuple[str, ...] = ()
    """The only hosts that get `headers`. Empty: the host of each URL."""
    proxy: str | None = field(default=None, repr=False)
    """URL of a proxy for all requests: `http://host:port`, also https, socks4 and socks5. Empty:
    none. Default: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` of the environment. A
    proxy looks names up itself: instead of their addresses, names without a dot, of this machine
    and of local networks (`.internal`, `.local`) are refused unless all private networks are
    allowed."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            check(name, getattr(self, name))
        AddressGuard(self.allow_private_networks)

    @property
    def attempt_timeout_s(self) -> float:
        """Longest time of one attempt in seconds, redirects included."""
        return 3 * self.timeout_s if self.total_timeout_s is None else self.total_timeout_s

    @property
    def wait_timeout_s(self) -> float:
        """Longest time for what other requests wait for in seconds: never infinite."""
        return 3 * self.timeout_s if self.attempt_timeout_s == math.inf else self.attempt_timeout_s

    @property
    def max_host_delay_s(self) -> float:
        """Longest sum of waits for one overloaded host during one call of `Fetcher.fetch`."""
        return max(5 * self.max_backoff_s, self.max_retry_after_s)

    @property
    def robot_name(self) -> str:
        """Name that selects the groups of robots.txt."""
        return self.user_agent_token or self.user_agent.partition("/")[0]


def user_agent(token: str | None = None, contact: str | None = None) -> str:
    """Compose a user agent: the product, the robot's name, and how to reach its operator.

    Raises:
        ConfigurationError: one of them is not a line of ASCII text.
    """
    details = ["compatible"]
    if token:
        _line("user_agent_token", token)
        details.append(token)
    if contact:
        _line("contact", contact)
        details.append(f"+{contact}")
    is_plain = len(details) == 1
    return DEFAULT_USER_AGENT if is_plain else f"{DEFAULT_USER_AGENT} ({'; '.join(details)})"


def default_ca_file() -> str | None:
    """Return the system's file of certificate authorities, or certifi's, or None.

    Wheels with their own TLS library look in the location of Red Hat systems only.
    """
    for path in (ssl.get_default_verify_paths().cafile, *_CA_FILES):
        if path and Path(path).is_file():
            return path
    try:
        import certifi
    except ImportError:
        return None
    return certifi.where()


_Check = Callable[[str, Any], object]


def _at_least_0(name: str, value: Any) -> None:
    checks.integer(name, value, low=0)


def _at_least_1(name: str, value: Any) -> None:
    checks.integer(name, value, low=1)


def _duration(name: str, value: Any) -> None:
    if value != math.inf:
        checks.positive(name, value)


def _optional(check: _Check) -> _Check:
    def check_value(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return check_value


def _line(name: str, value: Any) -> None:
    if not _is_line(value):
        raise ConfigurationError(f"{name}: expected one line of ASCII text, got {value!r}")


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value)


def _texts(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(entry, str) for entry in value):
        raise ConfigurationError(f"{name}: expected a tuple of texts, got {value!r}")


def _pem_file(name: str, value: Any) -> None:
    if not isinstance(value, str) or not Path(value).is_file():
        raise ConfigurationError(f"{name}: expected an existing PEM file, got {value!r}")


def _headers(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or not all(_is_header(pair) for pair in value):
        raise ConfigurationError(  # without the value: it can hold a token
            f"{name}: expected a tuple of pairs of name and value, each one line of ASCII text"
        )


def _is_header(pair: Any) -> bool:
    is_pair = isinstance(pair, tuple) and len(pair) == 2
    return is_pair and all(_is_line(part) for part in pair) and ":" not in pair[0]


def _proxy(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(
            f"{name}: expected a URL such as http://host:port, got {type(value).__name__}"
        )
    checked_proxy(name, value)


_CHECKS: dict[str, _Check] = {
    "max_connections": _at_least_1,
    "timeout_s": checks.positive,
    "total_timeout_s": _optional(_duration),
    "low_speed_bytes_per_s": _at_least_0,
    "low_speed_time_s": checks.positive,
    "max_bytes": _at_least_1,
    "max_header_bytes": _at_least_1,
    "max_redirects": _at_least_0,
    "max_buffered_bytes": _at_least_1,
    "retries": _at_least_0,
    "backoff_s": checks.positive,
    "max_backoff_s": checks.positive,
    "max_retry_after_s": checks.positive,
    "user_agent": _line,
    "user_agent_token": _optional(_line),
    "disallowed_directives": _texts,
    "tdm_reservation": checks.boolean,
    "robots_txt": checks.boolean,
    "allow_empty": checks.boolean,
    "verify_tls": checks.boolean,
    "allow_private_networks": _texts,
    "max_connections_per_host": _optional(_at_least_1),
    "max_requests_per_s_per_host": _optional(checks.positive),
    "ca_file": _optional(_pem_file),
    "headers": _headers,
    "header_hosts": _texts,
    "proxy": _optional(_proxy),
}
