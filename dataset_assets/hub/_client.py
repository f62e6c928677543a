"""Client of the Hub: timeouts, retries, a hidden token, and one-line errors that say what to do."""

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
_READ_TIMEOUT_S = 120.0  # above the 60 s after which the Hub gives up a commit
_TIMEOUTS_LOCK = Lock()
_MAX_DETAIL = 300  # characters of a server's error text in a message


class Client:
    """`HfApi` for one dataset repository.

    The token comes from the caller only, never from the environment or login files.
    """

    def __init__(
        self, repo: str, token: str | None, *, endpoint: str | None, retry: RetryOptions
    ) -> None:
        self.repo = repo
        self.retry = retry
        self._token = _Secret(token)
        self._endpoint = endpoint

    def __repr__(self) -> str:
        return f"Client({self.repo!r})"

    @property
    def api(self) -> "HfApi":
        """The official client."""
        from huggingface_hub import HfApi

        _ensure_timeouts()
        return HfApi(endpoint=self._endpoint, token=self._token.value or False)

    @property
    def files(self) -> "HfFileSystem":
        """The repository's files, for reading.

        Bypasses fsspec's instance cache, whose instances would outlive the token.
        """
        from huggingface_hub import HfFileSystem

        _ensure_timeouts()
        return HfFileSystem(
            endpoint=self._endpoint, token=self._token.value or False, skip_instance_cache=True
        )

    def load_options(self) -> dict[str, Any]:
        """Return the options with which `datasets` can read the repository, the token included."""
        return {"token": self._token.value or False}

    def call(
        self, action: str, call: Callable[["HfApi"], _Result], *, attempts: int | None = None
    ) -> _Result:
        """Call the Hub and retry transient failures.

        Args:
            action: what the call does, for errors, such as "reading the head".
            call: gets the official client.
            attempts: fewer attempts than the options allow, for what the client retries itself.

        Raises:
            AccessDenied, ObjectMissing, HubError: it failed permanently, or too often.
        """
        options = self.retry if attempts is None else self.retry.limited(attempts)
        try:
            return call_with_retry(lambda: call(self.api), options)
        except failures() as exc:
            error = self.explain(action, exc)
        raise error  # outside the handler: the client's traceback could show the token

    def explain(self, action: str, exc: Exception) -> HubError | ObjectMissing:
        """Describe a failure in one line."""
        status = status_of(exc)
        detail = self._detail(exc)
        start = f"{self.repo}: {action} failed"
        if status in (401, 403):
            return AccessDenied(f"{start}: {self._denial(status)} ({status}: {detail})")
        if status == 404 and "xet-write-token" in detail:
            return HubError(
                f"{start}: this Hub has no Xet storage; set HF_HUB_DISABLE_XET=1 to upload "
                "another way"
            )
        if status == 404 or isinstance(exc, FileNotFoundError):
            return ObjectMissing(
                f"{start}: no such repository, revision or file, or the token has no access to it "
                f"({detail})"
            )
        if is_transient(exc):
            answer = f"the Hub returned {status}" if status else "the Hub did not respond"
            return HubError(
                f"{start}: {answer} ({detail}); readers still get the previous revision and "
                "uploaded files are kept: run again to resume"
            )
        return HubError(f"{start}: {status}: {detail}" if status else f"{start}: {detail}")

    def _denial(self, status: int) -> str:
        if not self._token.value:
            return "no token was given; set HF_TOKEN to one with write access to this repository"
        if status == 401:
            return "the Hub rejects this token; set HF_TOKEN to a valid one"
        return "this token lacks permission; use one with the role 'write' for this organization"

    def _detail(self, exc: BaseException) -> str:
        chain = list(causes(exc))
        from_server = (getattr(each, "server_message", None) for each in chain)
        text = next(filter(None, from_server), "")
        if not text:
            text = str(chain[-1]).partition("For more information check")[0]
        text = " ".join(text.split()) or type(chain[-1]).__name__
        return redact(text, [self._token.value or ""])[:_MAX_DETAIL]


class _Secret:
    """A token that a repr or a dump of local variables does not show."""

    __slots__ = ("value",)

    def __init__(self, value: str | None) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"


def _ensure_timeouts() -> None:
    # Setting a client factory closes the client before it, with what other threads do with it.
    with _TIMEOUTS_LOCK:
        _set_timeouts()


@cache
def _set_timeouts() -> None:
    """Give the process's shared client timeouts, unless it has some.

    Without them a stalled server would hang the step.
    """
    from huggingface_hub import get_session, set_client_factory
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
    from huggingface_hub.utils._http import default_client_factory

    if get_session().timeout != httpx.Timeout(None):
        return

    def create_client() -> Any:
        client = default_client_factory()
        client.timeout = httpx.Timeout(
            _CONNECT_TIMEOUT_S, read=_READ_TIMEOUT_S, write=_READ_TIMEOUT_S
        )
        return client

    _log.debug("requests to the Hub time out after %.0f s without a response", _READ_TIMEOUT_S)
    set_client_factory(create_client)
