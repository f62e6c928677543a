"""Tells the failures of a proxy from those of the hosts behind it.

Error codes: https://curl.se/libcurl/c/libcurl-errors.html
"""

import errno
from http import HTTPStatus

import pycurl

from dataset_assets.fetch._causes import TLS_ERRORS, Failure
from dataset_assets.fetch.engine.transfer import Transfer
from dataset_assets.records.causes import Cause

_E_PROXY = 97  # SOCKS; pycurl has no name for it
_SOCKS = "socks"
_AUTHENTICATION = 407
_OK = 200
_WAITED = "timed out while the proxy connected to the host"


def proxy_failure_of(transfer: Transfer) -> Failure | None:
    """Return how the proxy of a request failed; None if there is none, or if it did not fail.

    A proxy that was still waiting for the host has not failed: that has the cause of the host.
    """
    if not transfer.proxy:
        return None
    if transfer.status == _AUTHENTICATION and not transfer.is_tunneled:
        return _failure(_refusal(transfer.status))
    if transfer.status or not transfer.code or transfer.cause is not None:
        return None
    answer = transfer.easy.getinfo(pycurl.HTTP_CONNECTCODE)
    if answer not in (0, _OK):
        return _failure(_refusal(answer))
    line = _why_no_connection(transfer) or (None if answer == _OK else _why_no_tunnel(transfer))
    if line is _WAITED:
        return Failure(Cause.TIMEOUT_CONNECT, line)
    return None if line is None else _failure(line)


def _failure(line: str) -> Failure:
    return Failure(Cause.PROXY_ERROR, line)


def _why_no_connection(transfer: Transfer) -> str | None:
    if transfer.code == pycurl.E_COULDNT_RESOLVE_PROXY:
        return "the host name of the proxy could not be looked up"
    if transfer.code == pycurl.E_COULDNT_CONNECT:
        is_refused = transfer.easy.getinfo(pycurl.OS_ERRNO) == errno.ECONNREFUSED
        return (
            "the proxy refused the connection" if is_refused else "could not connect to the proxy"
        )
    if transfer.code == pycurl.E_OPERATION_TIMEDOUT and not transfer.easy.getinfo(
        pycurl.CONNECT_TIME
    ):
        return "timed out while connecting to the proxy"
    return None


def _why_no_tunnel(transfer: Transfer) -> str | None:
    if transfer.code == _E_PROXY:
        return "the proxy did not connect to the host"
    is_new = transfer.easy.getinfo(pycurl.NUM_CONNECTS) > 0
    if not is_new or transfer.proxy.startswith(_SOCKS):
        return None
    if transfer.code in TLS_ERRORS:
        return "no secure connection to the proxy"
    if not transfer.is_tunneled:
        return None
    is_timeout = transfer.code == pycurl.E_OPERATION_TIMEDOUT
    return _WAITED if is_timeout else "the proxy closed the connection"


def _refusal(status: int) -> str:
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    return f"the proxy refused the request: {status}{phrase}"
