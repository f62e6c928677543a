"""The client of a Hub: with timeouts, with a token that shows nowhere, and with errors that say in one line what to do."""

import logging
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from dataset_assets.errors import AccessDenied, HubError, ObjectMissing
from dataset_assets.hub.retry import (
    RetryOptions,
    call_with_retry,
    causes,
    failures,
    is_transient,
    status_of,
)
from dataset_assets.redaction import redact

if TYPE_CHECKING:
    from huggingface_hub import HfApi, HfFileSystem

_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 30.0
_READ_TIMEOUT_S = 120.0  # the Hub gives a commit up after 60 s
_ONE_AT_A_TIME = Lock()
_MAX_ANSWER = 300  # characters of what a server says, in a message


class Client:
    """`HfApi` for one repository of datasets. The token comes from the caller only: environment and login files are never looked at."""

    def __init__(
        self, repo: str, token: str | None, *, endpoint: str | None, retry: RetryOptions
    ) -> None:
        self.repo, self.retry = repo, retry
        self._token = Secret(token)
        self._endpoint = endpoint

    def __repr__(self) -> str:
        return f"Client({self.repo!r})"

    @property
    def api(self) -> "HfApi":
        """The official client."""
        from huggingface_hub import HfApi

        _limit_waiting()
        return HfApi(endpoint=self._endpoint, token=self._token.value or False)

    @property
    def files(self) -> "HfFileSystem":
        """The repository's files, for reading. Without the instances that fsspec keeps: they would outlive the token."""
        from huggingface_hub import HfFileSystem

        _limit_waiting()
        return HfFileSystem(
            endpoint=self._endpoint, token=self._token.value or False, skip_instance_cache=True
        )

    def load_options(self) -> dict[str, Any]:
        """Return what `datasets` needs to know to read the repository. Holds the token."""
        return {"token": self._token.value or False}

    def call(
        self, doing: str, call: Callable[["HfApi"], _Result], *, attempts: int | None = None
    ) -> _Result:
        """Ask the Hub, again where that can help; `doing` says in an error what was asked.

        Raises:
            AccessDenied, ObjectMissing, HubError: it failed for good, or often enough.
        """
        options = self.retry if attempts is None else self.retry.limited(attempts)
        try:
            return call_with_retry(lambda: call(self.api), options)
        except failures() as exc:
            error = self.explain(doing, exc)
        raise error  # here, so that it carries no traceback of the client, which may show the token

    def explain(self, doing: str, exc: Exception) -> HubError | ObjectMissing:
        """Describe a failure in one line."""
        status, said = status_of(exc), self._said(exc)
        where = f"{self.repo}: {doing} failed"
        if status in (401, 403):
            return AccessDenied(f"{where}: {self._denied(status)} ({status}: {said})")
        if status == 404 and "xet-write-token" in said:
            return HubError(
                f"{where}: this Hub has no Xet storage; set HF_HUB_DISABLE_XET=1 to send files another way"
            )
        if status == 404 or isinstance(exc, FileNotFoundError):
            return ObjectMissing(
                f"{where}: no such repository, revision or file, or the token may not see it ({said})"
            )
        if is_transient(exc):
            answer = f"the Hub answers {status}" if status else "the Hub does not answer"
            return HubError(
                f"{where}: {answer} ({said}); readers get what they got before, what was sent is kept: run again to go on"
            )
        return HubError(f"{where}: {f'{status}: ' if status else ''}{said}")

    def _denied(self, status: int) -> str:
        if not self._token.value:
            return "no token was given; set HF_TOKEN to one that may write to this repository"
        if status == 401:
            return "the Hub does not take this token; set HF_TOKEN to a valid one"
        return "this token may not do that; use one with the role 'write' for this organization"

    def _said(self, exc: BaseException) -> str:
        chain = list(causes(exc))
        by_server = next(
            (said for each in chain if (said := getattr(each, "server_message", None))), ""
        )
        text = by_server or str(chain[-1]).partition("For more information check")[0]
        text = " ".join(text.split()) or type(chain[-1]).__name__
        return redact(self._token.hide(text))[:_MAX_ANSWER]  # uploads go to signed urls


class Secret:
    """A token that no message, repr or frame dump shows."""

    __slots__ = ("value",)

    def __init__(self, value: str | None) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"

    def hide(self, text: str) -> str:
        """Return a text without the token."""
        return text.replace(self.value, "***") if self.value else text


def _limit_waiting() -> None:
    with (
        _ONE_AT_A_TIME
    ):  # a new client closes the one before it, and what other threads do with that
        _set_timeouts()


@cache
def _set_timeouts() -> None:
    """Give the process's shared client timeouts: it has none, and a stalled server would hang the step. One that has some is kept."""
    from huggingface_hub import get_session, set_client_factory
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
    from huggingface_hub.utils._http import default_client_factory

    if get_session().timeout != httpx.Timeout(None):
        return

    def with_timeouts() -> Any:
        client = default_client_factory()
        client.timeout = httpx.Timeout(
            _CONNECT_TIMEOUT_S, read=_READ_TIMEOUT_S, write=_READ_TIMEOUT_S
        )
        return client

    _log.debug("requests to the Hub are given up after %.0f s without an answer", _READ_TIMEOUT_S)
    set_client_factory(with_timeouts)
