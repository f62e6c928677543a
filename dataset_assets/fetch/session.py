"""One visitor of a web site: cookies, forms, and streams of large files, on few connections that are kept.

For sites that archives are downloaded from, whose addresses are in the configuration; urls out of lists, which nobody vouches for, go through `client`.
Redirects are followed here, so that cookies stay with their site and https is never left for http. What is sent in a form or a cookie is in no message.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import Request

import urllib3

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.fetch._attempts import Attempts, Interrupted
from dataset_assets.fetch._certificates import default_ca_file
from dataset_assets.fetch.options import DEFAULT_USER_AGENT, MIB
from dataset_assets.redaction import redact

#: How urllib3 begins the text of an error.
_PLACE = re.compile(r"^.*?(?:port=\d+\)|object at 0x[0-9a-f]+>): ")
#: Statuses that may be another one a little later.
_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How a site is visited.

    Raises:
        ConfigurationError: a value that can not work.
    """

    connect_timeout_s: float = 10.0
    timeout_s: float = 30.0  # to the first byte, and between two bytes
    retries: int = 8  # without progress
    backoff_s: float = 0.5  # first pause; doubles
    max_backoff_s: float = 30.0
    max_retry_after_s: float = 300.0  # a longer Retry-After is not waited for
    max_redirects: int = 5
    max_body_bytes: int = 64 * MIB  # of a page; streams have no limit
    user_agent: str = DEFAULT_USER_AGENT
    ca_file: str | None = None  # PEM; None: the system's, else certifi's
    verify_tls: bool = True

    def __post_init__(self) -> None:
        for name in (
            "connect_timeout_s",
            "timeout_s",
            "backoff_s",
            "max_backoff_s",
            "max_retry_after_s",
            "max_body_bytes",
        ):
            if not getattr(self, name) > 0:
                raise ConfigurationError(
                    f"{name}: expected a number above 0, got {getattr(self, name)!r}"
                )
        for name in ("retries", "max_redirects"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 0:
                raise ConfigurationError(
                    f"{name}: expected a whole number, 0 or more, got {getattr(self, name)!r}"
                )


@dataclass(frozen=True, slots=True)
class Answer:
    """A page, or an error of a site."""

    url: str  # after redirects
    status: int
    headers: Mapping[str, str]  # lower case names
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class Session:
    """Cookies and connections of one visitor. One thread at a time; close it, or use it as a context manager."""

    def __init__(
        self,
        options: SessionOptions | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.options = options or SessionOptions()
        self._times = sleep, wall_clock
        self._cookies = CookieJar()
        self._pool = urllib3.PoolManager(
            maxsize=4,
            ssl_context=_tls(self.options),
            timeout=urllib3.Timeout(
                connect=self.options.connect_timeout_s, read=self.options.timeout_s
            ),
            retries=False,
        )

    def __enter__(self) -> "Session":
        """Return self."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._pool.clear()

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Read a page, following redirects. Other statuses than 200 are answers, too.

        Raises:
            SourceError: the site can not be reached, keeps failing, or sends more than a page.
        """
        attempts = self.attempts()
        while True:
            try:
                final, response = self._follow(url, dict(headers or {}))
                return self._answer(final, response)
            except Interrupted as exc:
                attempts.failed(exc)

    def post_form(self, url: str, fields: Mapping[str, str]) -> Answer:
        """Send a form, once. Redirects are not followed: they are what such an answer says.

        Raises:
            SourceError: the site can not be reached, fails, or sends more than a page.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            return self._answer(
                url, self._request("POST", url, headers, urlencode(fields).encode())
            )
        except Interrupted as exc:
            raise SourceError(f"{exc}; run again when the site is well") from exc

    def stream(self, url: str, headers: Mapping[str, str]) -> Any:
        """Start to read a file, following redirects; returns urllib3's response, its body unread and not decoded.

        Raises:
            SourceError: the url can not be used.
            Interrupted: trying again may help.
        """
        return self._follow(url, dict(headers))[1]

    def attempts(self) -> Attempts:
        """Return a fresh count of failures."""
        options = self.options
        return Attempts(
            options.retries,
            (options.backoff_s, options.max_backoff_s),
            options.max_retry_after_s,
            times=self._times,
        )

    def _follow(self, url: str, headers: dict[str, str]) -> tuple[str, Any]:
        for _ in range(self.options.max_redirects + 1):
            response = self._request("GET", url, headers)
            location = response.get_redirect_location()
            if not location:
                return url, response
            response.drain_conn()
            there = urljoin(url, location)
            if _scheme(url) == "https" and _scheme(there) != "https":
                raise SourceError(
                    f"{shown(url)}: redirected from https to {shown(there)}, which is not followed"
                )
            url = there
        raise SourceError(
            f"{shown(url)}: redirected more than {self.options.max_redirects} times; correct the url"
        )

    def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> Any:
        if _scheme(url) not in ("http", "https"):
            raise SourceError(f"{shown(url)}: expected an http or https url")
        request = Request(url, method=method)  # noqa: S310 -- never opened: what the cookie jar reads and writes
        self._cookies.add_cookie_header(request)
        sent = {
            "User-Agent": self.options.user_agent,
            "Accept-Encoding": "identity",
            **headers,
            **dict(request.header_items()),
        }
        try:
            response = self._pool.request(
                method,
                url,
                headers=sent,
                body=body,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError as exc:
            raise _explained(url, exc) from exc
        self._cookies.extract_cookies(response, request)
        if response.status in _TRANSIENT:
            response.close()
            raise Interrupted(
                f"{shown(url)}: HTTP status {response.status}", response.headers.get("Retry-After")
            )
        return response

    def _answer(self, url: str, response: Any) -> Answer:
        limit, body = self.options.max_body_bytes, b""
        try:
            while len(body) <= limit and (
                data := response.read(limit + 1 - len(body), decode_content=False)
            ):
                body += (
                    data  # a second read: only at the end does urllib3 tell that bytes are missing
                )
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise Interrupted(f"{shown(url)}: {why(exc)}") from exc
        finally:
            response.close()
        if len(body) > limit:
            raise SourceError(
                f"{shown(url)}: the page has more than {limit:,} bytes; raise max_body_bytes if it should"
            )
        return Answer(
            url,
            response.status,
            {name.lower(): value for name, value in response.headers.items()},
            body,
        )


def shown(url: str) -> str:
    """Return a url as it may stand in a message."""
    return redact(url)


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def why(exc: BaseException) -> str:
    """Say in a few words what went wrong with a connection."""
    inner = exc
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    text = str(exc if isinstance(exc, urllib3.exceptions.TimeoutError) else inner)
    return f"{type(exc).__name__}: {_PLACE.sub('', text)}".splitlines()[0][:200]


def _explained(url: str, exc: urllib3.exceptions.HTTPError) -> SourceError | Interrupted:
    message = f"{shown(url)}: {why(exc)}"
    for_ever = isinstance(
        exc, urllib3.exceptions.SSLError | urllib3.exceptions.LocationValueError
    ) or _is_unknown_host(exc)
    return (
        SourceError(f"{message}; correct the url, or the options of the connection")
        if for_ever
        else Interrupted(message)
    )


def _is_unknown_host(exc: BaseException) -> bool:
    cause = exc.__cause__ or exc.__context__
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME


def _tls(options: SessionOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca_file or default_ca_file())
    if not options.verify_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
