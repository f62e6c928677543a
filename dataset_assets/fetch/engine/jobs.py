"""One URL being fetched: its state across redirects and retries, and the meaning of its end."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin

import pycurl

from dataset_assets.fetch._causes import Failure, failure, for_curl_error, for_status
from dataset_assets.fetch._target import Target, parse
from dataset_assets.fetch.content_coding import (
    TooLarge,
    codings_in,
    decode,
    is_text,
    varies_by_coding,
)
from dataset_assets.fetch.engine.proxy_failures import proxy_failure_of
from dataset_assets.fetch.engine.transfer import Transfer
from dataset_assets.fetch.hosts.politeness import Host
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import FetchOutcome
from dataset_assets.redaction import without_userinfo

_MAX_CONTENT_TYPE = 127  # RFC 6838
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


@dataclass(slots=True, eq=False)
class Job:
    """One URL of the caller, or the robots.txt of an origin."""

    token: Any
    """The caller's own value, returned in the outcome."""
    target: Target
    """The next URL to request."""
    first: Target
    """The URL of the caller."""
    remaining_s: float
    """Seconds left for this attempt, without the time spent waiting to start."""
    robots_of: str | None = None
    """The origin whose robots.txt this is."""
    host: Host | None = None
    """The host with limits that has admitted the job."""
    wait_until: float = 0.0
    """When it has waited for its host too long."""
    is_overloading: bool = False
    """Whether a host that had answered well said that it gets too many requests."""
    failure: Failure | None = None
    """Why the attempt before failed."""
    attempt: int = 0
    needs_fresh: bool = False
    """Whether a kept connection was closed without an answer: the next one must be new."""
    redirects: int = 0
    """Redirects followed in this attempt."""
    requests: int = 0
    bytes_read: int = 0


def outcome_of(job: Job, transfer: Transfer | None, reason: Failure | None) -> FetchOutcome:
    """Return the outcome of a job. Takes the transfer's body unless the job has failed."""
    status = 0
    kind = ""
    body = None
    codings: tuple[str, ...] = ()
    is_coding_chosen = False
    if transfer is not None:
        status = transfer.status
        kind = _content_type(transfer)
        if reason is None:
            body = transfer.body()
            codings = _codings(transfer)
            is_coding_chosen = bool(codings) and varies_by_coding(transfer.headers(b"vary"))
    cause, message = reason or (None, None)
    return FetchOutcome(
        token=job.token,
        body=body,
        cause=cause,
        message=message,
        http_status=status,
        content_type=kind,
        url=without_userinfo(job.target.url),
        requests=job.requests,
        redirects=job.redirects,
        bytes_read=job.bytes_read,
        codings=codings,
        is_coding_chosen=is_coding_chosen,
    )


def rules_of(transfer: Transfer, max_bytes: int) -> bytes | None:
    """Take the body of a robots.txt as text, or None if it is compressed and cannot be read."""
    body = transfer.body()
    codings = _codings(transfer)
    if not codings or is_text(body):
        return body
    try:
        return decode(body, codings, max_bytes)
    except TooLarge:
        return None


def _codings(transfer: Transfer) -> tuple[str, ...]:
    """Return the codings that a response is labelled with."""
    # Few responses have the header, and this is done for each.
    if not any(line[:16].lower() == b"content-encoding" for line in transfer.lines):
        return ()
    return codings_in(transfer.headers(b"content-encoding"))


def _content_type(transfer: Transfer) -> str:
    sent: bytes = transfer.easy.getinfo_raw(pycurl.CONTENT_TYPE) or b""
    kind = sent.partition(b";")[0].strip().lower().decode("latin-1")
    return kind if kind.isprintable() and len(kind) <= _MAX_CONTENT_TYPE else ""


def failure_of(transfer: Transfer) -> Failure | None:
    """Tell what is wrong with a response, or None for a usable body."""
    return proxy_failure_of(transfer) or _failure_of_host(transfer)


def _failure_of_host(transfer: Transfer) -> Failure | None:
    if transfer.status and not transfer.brings_file:
        return for_status(transfer.status, transfer.reason)
    if transfer.cause is not None:
        return failure(transfer.cause)
    if transfer.code and transfer.refused is not None and not transfer.opened:
        return failure(transfer.refused)
    if transfer.code:
        return for_curl_error(transfer.code, transfer.error, transfer.easy.getinfo(pycurl.OS_ERRNO))
    if not transfer.status:
        return failure(Cause.PROTOCOL_ERROR)
    return None if transfer.size else failure(Cause.EMPTY_BODY)


def redirect_of(transfer: Transfer, url: str) -> Target | Failure | None:
    """Return where a response redirects to, or None."""
    location = transfer.header(b"location") if transfer.status in _REDIRECTS else b""
    if not location:
        return None
    try:
        return parse(urljoin(url, location.decode()))
    except UnicodeDecodeError:
        return parse(urljoin(url, quote(location, safe="!#$%&'()*+,/:;=?@[]~")))
    except ValueError:
        return Failure(Cause.INVALID_URL, "redirected to a url that is not valid")
