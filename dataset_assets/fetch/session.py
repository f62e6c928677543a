"""A session with one web site: cookies, forms, and streams of large files, on few connections.

For the sites of archives, whose addresses the configuration names. Untrusted URLs of lists are
fetched with `client`. The session follows redirects itself, so that cookies stay with their site
and https is never downgraded to http. Errors never contain what a form or a cookie sends.
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

from dataset_assets import checks
from dataset_assets.errors import SourceError
from dataset_assets.fetch._retry import Retries, TransientError
from dataset_assets.fetch.options import DEFAULT_USER_AGENT, MIB, default_ca_file
from dataset_assets.redaction import redact
from dataset_assets.storage.http import TRANSIENT_STATUSES

# How urllib3 begins the text of an error.
_CONNECTION = re.compile(r"^.*?(?:port=\d+\)|object at 0x[0-9a-f]+>): ")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How a site is accessed.

    Raises:
        ConfigurationError: a value is not valid.
    """

    connect_timeout_s: float = 10.0
    """Seconds to connect."""
    timeout_s: float = 30.0
    """Seconds to the first byte, and between two bytes."""
    retries: int = 8
    """Attempts after the first, without progress."""
    backoff_s: float = 0.5
    """First pause in seconds. Doubles each time."""
    max_backoff_s: float = 30.0
    """Longest pause in seconds."""
    max_retry_after_s: float = 300.0
    """A longer Retry-After, in seconds, is an error."""
    max_redirects: int = 5
    """Redirects of one request."""
    max_body_bytes: int = 64 * MIB
    """Bytes of a page. Streams have no limit."""
    user_agent: str = DEFAULT_USER_AGENT
    """Sent with every request."""
    ca_file: str | None = None
    """PEM file of certificate authorities. Default: the system's, or certifi's."""
    verify_tls: bool = True
    """Verify certificates."""

    def __post_init__(self) -> None:
        for name in (
            "connect_timeout_s",
            "timeout_s",
            "backoff_s",
            "max_backoff_s",
            "max_retry_after_s",
            "max_body_bytes",
        ):
            checks.positive(name, getattr(self, name))
        for name in ("retries", "max_redirects"):
            checks.integer(name, getattr(self, name), low=0)


@dataclass(frozen=True, slots=True)
class Page:
    """A page or an error page of a site."""

    url: str
    """After redirects."""
    status: int
    headers: Mapping[str, str]
    """Names are in lower case."""
    body: bytes

    @property
    def text(self) -> str:
        """The body, decoded as UTF-8."""
        return self.body.decode("utf-8", "replace")


class Session:
    """Cookies and connections for one site. A context manager, for one thread at a time."""

    def __init__(
        self,
        options: SessionOptions | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.options = options or SessionOptions()
        self._sleep = sleep
        self._wall_clock = wall_clock
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

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Page:
        """Read a page and follow redirects. Statuses other than 200 are not errors.

        Raises:
            SourceError: the site cannot be reached, keeps failing, or sends too large a page.
        """

        def read() -> Page:
            final, response = self._follow(url, dict(headers or {}))
            return self._read_page(final, response)

        return self.retries().call(read)

    def post_form(self, url: str, fields: Mapping[str, str]) -> Page:
        """Send a form, once. A redirect is returned, not followed.

        Raises:
            SourceError: the site cannot be reached, fails, or sends too large a page.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            response = self._request("POST", url, headers, urlencode(fields).encode())
            return self._read_page(url, response)
        except TransientError as exc:
            raise SourceError(f"{exc}; run again once the site is available") from exc

    def stream(self, url: str, headers: Mapping[str, str]) -> Any:
        """Request a file and follow redirects.

        Returns urllib3's response, with its body unread and not decoded.

        Raises:
            SourceError: the URL cannot be used.
            TransientError: a retry can help.
        """
        return self._follow(url, dict(headers))[1]

    def retries(self) -> Retries:
        """Return retries that count from zero."""
        return Retries(self.options, sleep=self._sleep, wall_clock=self._wall_clock)

    def _follow(self, url: str, headers: dict[str, str]) -> tuple[str, Any]:
        for _ in range(self.options.max_redirects + 1):
            response = self._request("GET", url, headers)
            location = response.get_redirect_location()
            if not location:
                return url, response
            response.drain_conn()
            target = urljoin(url, location)
            if _scheme(url) == "https" and _scheme(target) != "https":
                raise SourceError(
                    f"{redact(url)}: redirected from https to {redact(target)}; correct the URL"
                )
            url = target
        raise SourceError(
            f"{redact(url)}: redirected more than {self.options.max_redirects} times; correct the "
            "URL"
        )

    def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> Any:
        if _scheme(url) not in ("http", "https"):
            raise SourceError(f"{redact(url)}: expected an http or https URL")
        request = Request(url, method=method)  # noqa: S310 -- for the cookie jar, never opened
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
            raise _error_for(url, exc) from exc
        self._cookies.extract_cookies(response, request)
        if response.status in TRANSIENT_STATUSES:
            response.close()
            raise TransientError(
                f"{redact(url)}: HTTP status {response.status}", response.headers.get("Retry-After")
            )
        return response

    def _read_page(self, url: str, response: Any) -> Page:
        limit = self.options.max_body_bytes
        body = b""
        try:
            # Until an empty read: only then does urllib3 report that bytes are missing.
            while len(body) <= limit:
                data = response.read(limit + 1 - len(body), decode_content=False)
                if not data:
                    break
                body += data
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise TransientError(f"{redact(url)}: {describe(exc)}") from exc
        finally:
            response.close()
        if len(body) > limit:
            raise SourceError(
                f"{redact(url)}: the page has more than {limit:,} bytes; raise max_body_bytes if "
                "that is correct"
            )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Page(url, response.status, headers, body)


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def describe(exc: BaseException) -> str:
    """Describe a connection error in one short line."""
    inner = exc
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    text = str(exc if isinstance(exc, urllib3.exceptions.TimeoutError) else inner)
    return f"{type(exc).__name__}: {_CONNECTION.sub('', text)}".splitlines()[0][:200]


def _error_for(url: str, exc: urllib3.exceptions.HTTPError) -> SourceError | TransientError:
    message = f"{redact(url)}: {describe(exc)}"
    permanent = (urllib3.exceptions.SSLError, urllib3.exceptions.LocationValueError)
    if isinstance(exc, permanent) or _is_unknown_host(exc):
        return SourceError(f"{message}; correct the URL, or the options of the connection")
    return TransientError(message)


def _is_unknown_host(exc: BaseException) -> bool:
    cause = exc.__cause__ or exc.__context__
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME


def _tls(options: SessionOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca_file or default_ca_file())
    if not options.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
