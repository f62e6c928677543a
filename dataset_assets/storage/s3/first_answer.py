"""Finds out early that an endpoint is no S3 server: it says nothing, or something else.

Until an endpoint has answered once, a small request has a deadline; later the server may be away
for half a minute (`s3.retry`). An answer that lacks what S3 always sends is refused.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any

from dataset_assets.errors import StorageError
from dataset_assets.redaction import redact
from dataset_assets.storage.s3.credentials import S3Credentials

DEADLINE_S = 12.0
_SMALL_BODY_BYTES = 1 << 16
"""A larger first request may take its time to be sent."""
#: Operation -> fields of its answer; any S3 server sends one of them.
_ALWAYS_SENT = {
    "put_object": ("ETag",),
    "upload_part": ("ETag",),
    "head_object": ("LastModified",),
    "get_object": ("ETag", "LastModified"),
    "list_objects_v2": ("IsTruncated", "Name", "KeyCount", "MaxKeys", "Contents"),
    "list_buckets": ("Buckets", "Owner"),
    "create_multipart_upload": ("UploadId",),
}

_answered: set[S3Credentials] = set()


def send(credentials: S3Credentials, request: Callable[..., Any], **arguments: Any) -> Any:
    """Send a request with boto3; the first one to an endpoint ends after `DEADLINE_S`.

    Raises what boto3 raises; a deadline is the error of boto3 for a read that takes too long.
    """
    if credentials in _answered or len(arguments.get("Body", b"")) > _SMALL_BODY_BYTES:
        return request(**arguments)
    return _send_within(DEADLINE_S, credentials, request, arguments)


def note_answer(credentials: S3Credentials) -> None:
    """Note that the endpoint has answered, whatever it said."""
    _answered.add(credentials)


def check_is_s3(
    operation: str, answer: dict[str, Any], where: str, credentials: S3Credentials
) -> None:
    """Check that an answer without an error is one of S3.

    Raises:
        StorageError: a web server, a proxy or a page for a login has answered.
    """
    sent = _ALWAYS_SENT.get(operation, ())
    if sent and not any(field in answer for field in sent):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise StorageError(
            f"{where}: {redact(credentials.endpoint_url or 'the endpoint')} does not answer as S3: "
            f"expected {' or '.join(sent[:2])} in the answer to {operation}, got none "
            f"(HTTP {status}); correct the endpoint"
        )


def _send_within(
    limit_s: float,
    credentials: S3Credentials,
    request: Callable[..., Any],
    arguments: dict[str, Any],
) -> Any:
    """Send a request in a thread, which is left alone when it does not end in time."""
    from botocore.exceptions import ReadTimeoutError

    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(request(**arguments))
        except BaseException as exc:  # noqa: BLE001 - raised by the caller
            answer.set_exception(exc)

    Thread(target=run, daemon=True, name="s3-first-request").start()
    try:
        return answer.result(limit_s)
    except TimeoutError:
        if answer.done():
            raise
        raise ReadTimeoutError(endpoint_url=credentials.endpoint_url or "S3") from None
