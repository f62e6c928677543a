"""What a fetch may do and for how long. Every value is checked here, once; the defaults are safe on the open internet."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.addresses import AddressGuard

MIB = 1 << 20
DEFAULT_USER_AGENT = "dataset_assets/0.1"
#: `X-Robots-Tag` directives that mean: not for datasets. img2dataset's four and `noml`.
OPT_OUT_DIRECTIVES = ("noai", "noimageai", "noindex", "noimageindex", "noml")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How urls are fetched.

    Raises:
        ConfigurationError: a value can not work; the message says what was expected and what came.
    """

    max_connections: int = (
        256  # requests in flight; lowered where the process may not open that many files
    )
    timeout_s: float = 10.0  # to connect, to the first byte, and between two bytes: each
    total_timeout_s: float | None = None  # of one attempt, redirects included; None: 3 x timeout_s
    low_speed_bytes_per_s: int = (
        1024  # slower than this over `low_speed_time_s` is too slow; 0: only the timeouts count
    )
    low_speed_time_s: float = 5.0
    max_bytes: int = 64 * MIB  # of one body
    max_header_bytes: int = 64 * 1024  # of one answer
    max_redirects: int = 10
    max_buffered_bytes: int = (
        64 * MIB
    )  # of bodies in flight or not yet taken: beyond it no request is started
    retries: int = 0  # of transient causes only
    backoff_s: float = (
        1.0  # first pause of a retry and of a host that is overloaded; doubles each time
    )
    max_backoff_s: float = 30.0
    max_retry_after_s: float = 120.0  # a longer Retry-After is not waited for
    user_agent: str = DEFAULT_USER_AGENT  # an honest one names the product and how to reach you
    user_agent_token: str | None = (
        None  # the name that robots.txt and X-Robots-Tag know this robot by
    )
    disallowed_directives: tuple[str, ...] = OPT_OUT_DIRECTIVES  # (): X-Robots-Tag is ignored
    tdm_reservation: bool = True  # honour `tdm-reservation: 1`
    robots_txt: bool = False
    allow_private_networks: tuple[str, ...] = ()  # CIDR, or "all"
    max_connections_per_host: int | None = None
    max_requests_per_s_per_host: float | None = None
    ca_file: str | None = None  # PEM; None: the system's, else certifi's
    verify_tls: bool = True
    headers: tuple[
        tuple[str, str], ...
    ] = ()  # sent with a url, and with its redirects while they stay on its host
    header_hosts: tuple[
        str, ...
    ] = ()  # the only hosts that get `headers`; (): any host that a url names
    proxy: str | None = None  # proxies from the environment are ignored

    def __post_init__(self) -> None:
        for name, (what, valid) in _RULES.items():
            value = getattr(self, name)
            if not valid(value):
                raise ConfigurationError(
                    f"{name}: expected {what}, got {'something else' if name in _SECRET else repr(value)}"
                )
        AddressGuard(self.allow_private_networks)

    @property
    def attempt_timeout_s(self) -> float:
        """Longest time of one attempt, redirects included."""
        return 3 * self.timeout_s if self.total_timeout_s is None else self.total_timeout_s

    @property
    def max_host_delay_s(self) -> float:
        """Longest time that one overloaded host can delay its own urls, summed over one call of `Fetcher.fetch`."""
        return max(5 * self.max_backoff_s, self.max_retry_after_s)

    @property
    def robot_name(self) -> str:
        """The name that groups of robots.txt are matched with."""
        return self.user_agent_token or self.user_agent.partition("/")[0]


def user_agent(token: str | None = None, contact: str | None = None) -> str:
    """Compose an honest user agent: the product, the robot's name, and how to reach whoever runs it."""
    details = "; ".join(
        ["compatible", *([token] if token else []), *([f"+{contact}"] if contact else [])]
    )
    return f"{DEFAULT_USER_AGENT} ({details})" if token or contact else DEFAULT_USER_AGENT


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_line(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value)


def _is_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)


def _are_headers(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple)
        and len(pair) == 2
        and all(_is_line(part) for part in pair)
        and ":" not in pair[0]
        for pair in value
    )


def _is_proxy(value: object) -> bool:
    return (
        isinstance(value, str)
        and urlsplit(value).scheme in {"http", "https", "socks5", "socks5h"}
        and bool(urlsplit(value).hostname)
    )


_Rule = tuple[str, Callable[[object], bool]]


def _or_none(rule: _Rule) -> _Rule:
    return f"{rule[0]}, or None", lambda value: value is None or rule[1](value)


_AT_LEAST_1: _Rule = ("a whole number above 0", lambda value: _is_whole(value, 1))
_AT_LEAST_0: _Rule = ("a whole number, 0 or more", lambda value: _is_whole(value, 0))
_POSITIVE: _Rule = ("a number above 0", _is_positive)
_LINE: _Rule = ("one line of plain text", _is_line)
_TEXTS: _Rule = ("a tuple of texts", _is_texts)
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(
        ("max_connections", "max_bytes", "max_header_bytes", "max_buffered_bytes"), _AT_LEAST_1
    ),
    **dict.fromkeys(("max_redirects", "retries", "low_speed_bytes_per_s"), _AT_LEAST_0),
    **dict.fromkeys(
        ("timeout_s", "low_speed_time_s", "backoff_s", "max_backoff_s", "max_retry_after_s"),
        _POSITIVE,
    ),
    **dict.fromkeys(("total_timeout_s", "max_requests_per_s_per_host"), _or_none(_POSITIVE)),
    **dict.fromkeys(("disallowed_directives", "allow_private_networks", "header_hosts"), _TEXTS),
    "max_connections_per_host": _or_none(_AT_LEAST_1),
    "user_agent": _LINE,
    "user_agent_token": _or_none(_LINE),
    "headers": ("a tuple of pairs of name and value, each one line", _are_headers),
    "ca_file": _or_none(
        ("an existing PEM file", lambda value: isinstance(value, str) and Path(value).is_file())
    ),
    "proxy": _or_none(("a url such as http://host:port", _is_proxy)),
}
#: may hold a token or a password: not repeated in a message
_SECRET = frozenset({"headers", "proxy"})
