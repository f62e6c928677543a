"""Why a fetch failed: turns HTTP statuses and libcurl errors into a `Cause` and one short line.

Lines contain no secret, and no address, host, URL or number that differs from row to row: equal
failures have equal lines, so they can be counted.
Error codes: https://curl.se/libcurl/c/libcurl-errors.html
"""

import errno
import re
from http import HTTPStatus
from typing import NamedTuple, overload

import pycurl

from dataset_assets.records.causes import Cause
from dataset_assets.redaction import redact

MAX_LENGTH = 200


class Failure(NamedTuple):
    """A cause and a line that describes it."""

    cause: Cause
    message: str


MESSAGES = {
    Cause.BLOCKED_ADDRESS: "the address is not on the public internet",
    Cause.BLOCKED_PORT: "the port is not one that serves http",
    Cause.BLOCKED_SCHEME: "only http and https are fetched",
    Cause.BAD_ENCODING: "the body is compressed in a way that cannot be read",
    Cause.CONNECTION_FAILED: "could not connect",
    Cause.CONNECTION_REFUSED: "connection refused",
    Cause.CONNECTION_RESET: "connection reset by the server",
    Cause.DNS_NOT_FOUND: "the host name does not exist",
    Cause.DNS_TEMPORARY: "the host name could not be looked up for now",
    Cause.EMPTY_BODY: "the body is empty",
    Cause.HOST_UNAVAILABLE: "the host does not answer, or refused too many requests in a row",
    Cause.INCOMPLETE_BODY: "the connection was closed before the end of the body",
    Cause.INVALID_URL: "the url is not valid",
    Cause.OPT_OUT: "Use of image disallowed by X-Robots-Tag directive",
    Cause.PARTIAL_BODY: "the server sent a part of the file (206) although no part was asked for",
    Cause.PROTOCOL_ERROR: "the answer is not valid http",
    Cause.PROXY_ERROR: "the proxy failed",
    Cause.ROBOTS_TXT: "disallowed by robots.txt",
    Cause.TIMEOUT_CONNECT: "timed out while connecting",
    Cause.TIMEOUT_FIRST_BYTE: "timed out before the first byte",
    Cause.TIMEOUT_TOTAL: "timed out before the end of the body",
    Cause.TLS_ERROR: "no secure connection",
    Cause.TOO_LARGE: "the body is larger than allowed",
    Cause.TOO_MANY_REDIRECTS: "too many redirects",
    Cause.TOO_SLOW: "the server sends too slowly",
}

_STATUS = {
    **dict.fromkeys((404, 410), Cause.HTTP_NOT_FOUND),
    **dict.fromkeys((401, 402, 403, 407, 451), Cause.HTTP_FORBIDDEN),
    **dict.fromkeys((408, 425), Cause.HTTP_TRANSIENT),
    429: Cause.HTTP_RATE_LIMITED,
}

_CURL = {
    pycurl.E_URL_MALFORMAT: Cause.INVALID_URL,
    pycurl.E_COULDNT_RESOLVE_HOST: Cause.DNS_TEMPORARY,  # our own lookup had found it
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Cause.PROTOCOL_ERROR,
    # HTTP/0.9; other schemes never reach libcurl.
    pycurl.E_UNSUPPORTED_PROTOCOL: Cause.PROTOCOL_ERROR,
    pycurl.E_GOT_NOTHING: Cause.PROTOCOL_ERROR,
    pycurl.E_BAD_CONTENT_ENCODING: Cause.BAD_ENCODING,
    pycurl.E_PARTIAL_FILE: Cause.INCOMPLETE_BODY,
    pycurl.E_FILESIZE_EXCEEDED: Cause.TOO_LARGE,
    pycurl.E_SEND_ERROR: Cause.CONNECTION_RESET,
    100: Cause.PROTOCOL_ERROR,  # CURLE_TOO_LARGE: more headers than libcurl accepts
}
TLS_ERRORS = frozenset(getattr(pycurl, name) for name in dir(pycurl) if name.startswith("E_SSL_"))
_OS = {
    errno.ECONNREFUSED: Cause.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Cause.TIMEOUT_CONNECT,
    errno.ECONNRESET: Cause.CONNECTION_RESET,
}
_RESET = re.compile(r"reset by peer", re.IGNORECASE).search
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@overload
def failure(cause: Cause) -> Failure: ...


@overload
def failure(cause: Cause | None) -> Failure | None: ...


def failure(cause: Cause | None) -> Failure | None:
    """Return a cause with its standard line."""
    return None if cause is None else Failure(cause, MESSAGES[cause])


def for_status(status: int, reason: str) -> Failure:
    """Return the cause of a status without a file, with urllib's line for it."""
    if not reason:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = ""
    other = Cause.HTTP_SERVER_ERROR if status >= 500 else Cause.HTTP_CLIENT_ERROR
    cause = _STATUS.get(status, other)
    return Failure(cause, one_line(f"HTTP Error {status}: {reason}"))


def for_curl_error(code: int, text: str, os_errno: int) -> Failure:
    """Return the cause of a libcurl error. The engine detects timeouts after connecting."""
    if code in TLS_ERRORS:
        return _tls_failure(text)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        cause = Cause.DNS_TEMPORARY if text.startswith("Resolving") else Cause.TIMEOUT_CONNECT
    elif code == pycurl.E_COULDNT_CONNECT:
        cause = _OS.get(os_errno, Cause.CONNECTION_FAILED)
    elif code == pycurl.E_RECV_ERROR:
        cause = Cause.CONNECTION_RESET if _RESET(text) else Cause.PROTOCOL_ERROR
    else:
        cause = _CURL.get(code, Cause.CONNECTION_FAILED)
    return failure(cause)


def _tls_failure(text: str) -> Failure:
    if _RESET(text):
        return failure(Cause.CONNECTION_RESET)
    kind = text.partition("certificate problem: ")[2] or text.rpartition("::")[2]
    line = f"{MESSAGES[Cause.TLS_ERROR]}: {_QUOTED.sub('', kind)}"
    return Failure(Cause.TLS_ERROR, one_line(line))


def one_line(text: str) -> str:
    """Make text of a server safe for a log line or a table: printable, short, redacted."""
    text = redact(text[: 4 * MAX_LENGTH])
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:MAX_LENGTH]
