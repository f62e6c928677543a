"""boto3 clients, one per process and credentials, and `Bucket`, which the rest of `s3` uses.

A client that crosses a fork answers with bytes that another process asked for, so none does. A
`Bucket` holds credentials and no client, travels to other processes, and raises only errors of
this package. Failed requests are sent again (`s3.retry`); a body that breaks off is
resumed in `s3.read`. Checksums beyond ETag and Content-MD5 are off: servers that store them and
send them for ranges would make every range read fail.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from dataset_assets.errors import StorageError
from dataset_assets.storage.credentials import resolve
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets.storage.s3.errors import (
    EXPIRED,
    boto_errors,
    bucket_missing,
    code_of,
    translated,
)
from dataset_assets.storage.s3.first_answer import check_is_s3, note_answer, send
from dataset_assets.storage.s3.retry import MAX_ATTEMPTS, RetryPolicy

MAX_CONNECTIONS = 32
KEYS_PER_DELETE = 1000
"""The limit of S3 for one request."""
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30
_NEXT_PAGE = {
    "list_objects_v2": {"ContinuationToken": "NextContinuationToken"},
    "list_multipart_uploads": {
        "KeyMarker": "NextKeyMarker",
        "UploadIdMarker": "NextUploadIdMarker",
    },
}
"""Listing -> parameter of the request for the next page -> where the page before has its value."""

_clients: dict[tuple[int, S3Credentials], Any] = {}
_lock = threading.Lock()


def client(credentials: S3Credentials) -> Any:
    """Return this process's boto3 client for the credentials.

    Thread-safe; do not keep the client where a fork may find it. It raises botocore's errors: use
    it within `translate_s3_errors`.
    """
    key = os.getpid(), credentials
    found = _clients.get(key)
    if found is None:
        with _lock:
            found = _clients.get(key) or _clients.setdefault(key, _make_client(credentials))
    return found


def _after_fork() -> None:
    """Forget the parent's clients, and a lock that one of its threads may have held."""
    global _lock  # noqa: PLW0603 - a lock cannot be reset
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_after_fork)


def _make_client(credentials: S3Credentials) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session

    style = credentials.addressing_style
    config = Config(
        signature_version=UNSIGNED if credentials.anonymous else "s3v4",
        s3={
            "addressing_style": "path" if style == "auto" and credentials.endpoint_url else style,
            "payload_signing_enabled": _must_sign_bodies(credentials.endpoint_url),
        },
        retries={"mode": "standard", "total_max_attempts": MAX_ATTEMPTS},
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # a session of its own: the default session is not thread-safe
    core = Session(profile=credentials.profile)
    loader = _service_descriptions(core.get_config_variable("data_path"))
    core.register_component("data_loader", loader)
    session = boto3.session.Session(
        botocore_session=core,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token,
        profile_name=credentials.profile,
        region_name=credentials.region,
    )
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # each session adds the same one
    made = session.client(
        "s3", endpoint_url=credentials.endpoint_url, verify=credentials.verify, config=config
    )
    retries = RetryPolicy(on_answer=lambda: note_answer(credentials))
    made.meta.events.register_first("needs-retry.s3", retries.decide)
    if credentials.endpoint_url is not None:
        made.meta.events.register("before-call.s3", _stay_at_endpoint)
    return made


@lru_cache(maxsize=1)
def _service_descriptions(data_path: str | None) -> Any:
    """Return what botocore reads from its files: the most of the time to make a client.

    All clients, and those of forked processes, share it; it has no connection and no secret.
    """
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _stay_at_endpoint(context: dict[str, Any], **_: object) -> None:
    """Keep boto3 from looking for the region of a bucket when another server than AWS redirects.

    Each look is a request that is redirected as well, and so on without an end.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _must_sign_bodies(endpoint_url: str | None) -> bool:
    """Tell whether bodies may be tampered with: on plain http to another machine.

    Signing costs a SHA-256. What arrives is compared by MD5 in any case.
    """
    url = urlsplit(endpoint_url or "https://s3.amazonaws.com")
    return url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost")


class Bucket:
    """One bucket, and the credentials to use it with. Picklable.

    Credentials that were not given are looked up at the first request.
    """

    def __init__(
        self, name: str, credentials: S3Credentials | None = None, store: str | None = None
    ) -> None:
        self.name = name
        self._store = store
        self._given = credentials
        self._resolved = credentials
        self._is_known = False

    @property
    def credentials(self) -> S3Credentials:
        """The credentials that are used.

        Raises:
            ConfigurationError: the configuration is invalid.
        """
        if self._resolved is None:
            self._resolved = resolve(self._store, self.name)
        return self._resolved

    @property
    def endpoint(self) -> tuple[str | None, str]:
        """The server and the bucket, on which the capabilities depend."""
        return self.credentials.endpoint_url, self.name

    def call(self, operation: str, where: str, **arguments: Any) -> dict[str, Any]:
        """Send one request to this bucket.

        Args:
            operation: a method of boto3's client.
            where: the URL for messages.
            arguments: of the method, without the bucket.

        Raises:
            StorageError: or a class below it, see `s3.errors`.
        """
        used = self.credentials
        answer, error = self._try(operation, arguments)
        if error is not None and code_of(error) in EXPIRED and self._refresh(used):
            answer, error = self._try(operation, arguments)
        if error is not None:
            # outside of `except`, so that nothing is chained
            raise translated(error, where, self.credentials)
        check_is_s3(operation, answer, where, self.credentials)
        self._is_known = True
        return answer

    def list_pages(self, operation: str, where: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a listing. A paginator of boto3 could not renew expired credentials.

        Raises:
            StorageError: see `call`; or the server sends the same page again and again.
        """
        more: dict[str, str] = {}
        while True:
            page = self.call(operation, where, **arguments, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            before = more
            more = {name: page[source] for name, source in _NEXT_PAGE[operation].items()}
            if more == before:
                raise StorageError(f"{where}: the server repeats a page of its listing; stopped")

    def _try(
        self, operation: str, arguments: dict[str, Any]
    ) -> tuple[dict[str, Any], Exception | None]:
        """Return the answer and the error of a request; one of them counts."""
        try:
            request = getattr(client(self.credentials), operation)
            return send(self.credentials, request, Bucket=self.name, **arguments), None
        except boto_errors() as exc:
            if operation != "head_object" or code_of(exc) not in ("400", "403"):
                return {}, exc
        # the answer to HEAD has no body that says why: ask with GET
        error = self._try("get_object", {**arguments, "Range": "bytes=0-0"})[1]
        return {}, error or StorageError("refused")

    def _refresh(self, used: S3Credentials) -> bool:
        """Look up credentials again; tell whether another attempt may succeed.

        It may when the lookup finds other keys, or when boto3 finds keys by itself.
        """
        if self._given is not None and self._given.access_key is not None:
            return False
        self._resolved = self._given
        with _lock:
            _clients.pop((os.getpid(), used), None)
        return self.credentials != used or used.access_key is None

    def delete(self, paths: Sequence[str], where: str) -> None:
        """Delete at most `KEYS_PER_DELETE` objects.

        Raises:
            StorageError: some cannot be deleted; it names the first.
        """
        objects = [{"Key": path} for path in paths]
        answer = self.call("delete_objects", where, Delete={"Objects": objects, "Quiet": True})
        if refused := answer.get("Errors"):
            first = refused[0].get("Key", "an object")
            reason = refused[0].get("Code", "no reason given")
            raise StorageError(
                f"s3://{self.name}/{first} cannot be deleted: {reason} ({len(refused)} of "
                f"{len(paths)} refused); run again"
            )

    def check_exists(self, where: str) -> None:
        """Check that the bucket exists, with at most one request.

        Raises:
            BucketMissing: there is no such bucket.
        """
        if self._is_known:
            return
        _, error = self._try("head_bucket", {})
        if error is not None and code_of(error) in ("404", "NoSuchBucket"):
            raise bucket_missing(where, self.credentials)
        self._is_known = True
