"""boto3 clients: one per process and credentials. A client that crosses a fork answers with bytes that another process asked for, so none does.

`Bucket` is what the rest of `s3` asks: it holds credentials and no client, travels to other processes, and raises errors of ours only.
Refused and broken requests are tried 10 times, see `_Patience`; an answer that breaks off in its body is resumed in `_s3_read`.
Checksums beyond ETag and Content-MD5 are off: servers that store and replay them for ranges would make every range read fail.
"""

import os
import random
import threading
from typing import Any
from urllib.parse import urlsplit

from dataset_assets.errors import StorageError
from dataset_assets.storage.credentials import resolve
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets.storage.s3.errors import (
    EXPIRED,
    bucket_missing,
    code_of,
    errors,
    explained,
    explanation,
)

__all__ = ["MAX_CONNECTIONS", "Bucket", "client", "explained"]

MAX_CONNECTIONS = 32
_MAX_ATTEMPTS = 10
_FIRST_ATTEMPTS = 2  # at an endpoint that has never answered: 2 x 5 s to connect, and a pause
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.2, 20.0
_RETRIED = {429, 500, 502, 503, 504}
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30

_clients: dict[tuple[int, S3Credentials], Any] = {}
_lock = threading.Lock()


def client(credentials: S3Credentials) -> Any:
    """Return this process's boto3 client for the credentials. Thread-safe; do not keep it where a fork may find it.

    Raises:
        botocore's errors: use it within `explained`.
    """
    key = os.getpid(), credentials
    found = _clients.get(key)
    if found is None:
        with _lock:
            found = _clients.get(key) or _clients.setdefault(key, _make(credentials))
    return found


def _after_fork() -> None:
    """Forget the parent's clients, and a lock that one of its threads may have held."""
    global _lock  # noqa: PLW0603 - a lock can not be reset
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_after_fork)


def _make(credentials: S3Credentials) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    style = credentials.addressing_style
    config = Config(
        signature_version=UNSIGNED if credentials.anonymous else "s3v4",
        s3={
            "addressing_style": "path" if style == "auto" and credentials.endpoint_url else style,
            "payload_signing_enabled": _may_be_tampered_with(credentials.endpoint_url),
        },
        retries={"mode": "standard", "total_max_attempts": _MAX_ATTEMPTS},
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session(  # of its own: the default one is not thread-safe
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token,
        profile_name=credentials.profile,
        region_name=credentials.region,
    )
    made = session.client(
        "s3", endpoint_url=credentials.endpoint_url, verify=credentials.verify, config=config
    )
    made.meta.events.register_first("needs-retry.s3", _Patience(random.Random()).decide)
    return made


def _may_be_tampered_with(endpoint_url: str | None) -> bool:
    """Tell whether bodies must be signed, which costs a SHA-256: on plain http to another machine. What arrives is compared by MD5 anyway."""
    url = urlsplit(endpoint_url or "https://s3.amazonaws.com")
    return url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost")


class _Patience:
    """When a request is tried again, and after how long.

    For more than half a minute, so that a restart of the server harms nothing; for a few seconds where nobody has ever answered, so that a wrong
    endpoint is found soon. boto3's own policy, which shares 35 retries among all threads of a client, is left to decide on other errors only.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._answered = False

    def decide(
        self,
        *,
        attempts: int,
        response: Any = None,
        caught_exception: BaseException | None = None,
        **_: object,
    ) -> float | bool | None:
        """Return a pause in seconds, False to give up, or None for boto3's own policy. Called by boto3 after each attempt."""
        from botocore.exceptions import ConnectionError as NoConnection
        from botocore.exceptions import HTTPClientError, SSLError

        self._answered = self._answered or response is not None
        is_unreachable = isinstance(caught_exception, NoConnection)
        is_broken = isinstance(caught_exception, HTTPClientError) or (
            is_unreachable and not isinstance(caught_exception, SSLError)
        )
        if not is_broken and (response is None or response[0].status_code not in _RETRIED):
            return None
        if attempts >= (
            _FIRST_ATTEMPTS if is_unreachable and not self._answered else _MAX_ATTEMPTS
        ):
            return False
        pause_s: float = min(_FIRST_PAUSE_S * 2.0 ** (attempts - 1), _MAX_PAUSE_S)
        return pause_s * self._chance.uniform(0.5, 1.0)


class Bucket:
    """One bucket, and who asks for it. Picklable; credentials that nobody gave are looked up at the first request."""

    def __init__(
        self, name: str, credentials: S3Credentials | None = None, store: str | None = None
    ) -> None:
        self.name, self._store, self._given = name, store, credentials
        self._resolved = credentials
        self._is_known = False

    @property
    def credentials(self) -> S3Credentials:
        """Who asks.

        Raises:
            ConfigurationError: what is configured can not be.
        """
        if self._resolved is None:
            self._resolved = resolve(self._store, self.name)
        return self._resolved

    @property
    def endpoint(self) -> tuple[str | None, str]:
        """What the server's abilities depend on."""
        return self.credentials.endpoint_url, self.name

    def call(self, operation: str, where: str, **arguments: Any) -> dict[str, Any]:
        """Send one request to this bucket. `operation`: a method of boto3's client; `where`: the url for messages.

        Raises:
            StorageError: and what is below it, see `_s3_errors`.
        """
        used = self.credentials
        answer, error = self._ask(operation, arguments)
        if error is not None and code_of(error) in EXPIRED and self._refreshed(used):
            answer, error = self._ask(operation, arguments)
        if error is not None:
            raise explanation(
                error, where, self.credentials
            )  # outside of `except`: nothing is chained
        self._is_known = True
        return answer

    def _ask(
        self, operation: str, arguments: dict[str, Any]
    ) -> tuple[dict[str, Any], Exception | None]:
        try:
            return getattr(client(self.credentials), operation)(Bucket=self.name, **arguments), None
        except errors() as exc:
            if operation != "head_object" or code_of(exc) not in ("400", "403"):
                return {}, exc
        return {}, self._ask("get_object", {**arguments, "Range": "bytes=0-0"})[1] or StorageError(
            "refused"
        )  # a HEAD has no body to say why

    def _refreshed(self, used: S3Credentials) -> bool:
        """Look up credentials anew; tell whether that may help: keys of our own finding are others, or boto3 reads them again."""
        if self._given is not None and self._given.access_key is not None:
            return False
        self._resolved = self._given
        with _lock:
            _clients.pop((os.getpid(), used), None)
        return self.credentials != used or used.access_key is None

    def check_exists(self, where: str) -> None:
        """Raise when there is no such bucket. Asks at most once, and not at all when a request has been answered before.

        Raises:
            BucketMissing: there is none.
        """
        if self._is_known:
            return
        _, error = self._ask("head_bucket", {})
        if error is not None and code_of(error) in ("404", "NoSuchBucket"):
            raise bucket_missing(where, self.credentials)
        self._is_known = True
