"""What boto3's errors mean: each becomes one line that says what was expected, what came and what to do, and holds no secret.

The original is not chained: its text, and what hangs on it, may quote keys, tokens and signatures.
Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from dataset_assets.errors import (
    BucketMissing,
    ConfigurationError,
    CredentialsRefused,
    DiskFull,
    ObjectMissing,
    StorageError,
)
from dataset_assets.redaction import redact
from dataset_assets.storage.credentials import mask
from dataset_assets.storage.s3.credentials import S3Credentials

#: The server knows these credentials, but their time is over.
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = EXPIRED | {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidSecurity",
    "AuthFailure",
    "InvalidClientTokenId",
}
_FORBIDDEN = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403"}
_MISSING = {"NoSuchKey", "NotFound", "404", "NoSuchVersion"}
_FULL = {
    "QuotaExceeded",
    "InsufficientStorage",
    "XMinioStorageFull",
    "EntityTooLargeForQuota",
    "507",
}
_NO_KEYS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "SSOError",
    "LoginError",
    "NoAuthTokenError",
    "MetadataRetrievalError",
)
_NO_ANSWER = ("ConnectionError", "HTTPClientError")
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")


class Refused(StorageError):
    """A condition of the request does not hold: the object is another one than expected (412), or is there already."""


class Changed(StorageError):
    """The object was replaced while it was read."""


class RangeOutside(StorageError):
    """The object ends before the range (416)."""


class DigestRefused(StorageError):
    """What arrived is not what was sent."""


class UploadGone(StorageError):
    """There is no such multipart upload: it was completed, or aborted."""


class Forbidden(CredentialsRefused):
    """The server knows who asks, and does not let them do this."""


class NotSupported(StorageError):
    """The server does not have this operation."""


_OWN: dict[str, tuple[type[StorageError], str]] = {
    "PreconditionFailed": (Refused, "the object is not the expected one"),
    "412": (Refused, "the object is not the expected one"),
    "ConditionalRequestConflict": (Refused, "the object is being written by another"),
    "InvalidRange": (RangeOutside, "the object ends before the range"),
    "416": (RangeOutside, "the object ends before the range"),
    "BadDigest": (DigestRefused, "the server received other bytes than were sent"),
    "InvalidDigest": (DigestRefused, "the server received other bytes than were sent"),
    "XAmzContentSHA256Mismatch": (DigestRefused, "the server received other bytes than were sent"),
    "NoSuchUpload": (
        UploadGone,
        "its multipart upload is gone: it was aborted by somebody else, or by a rule of the bucket; write it again",
    ),
    "NotImplemented": (NotSupported, "the server does not have this operation"),
    "MethodNotAllowed": (NotSupported, "the server does not have this operation"),
}


def code_of(error: BaseException) -> str:
    """Return the S3 code of an error, or the name of its class."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code or type(error).__name__)


def errors() -> tuple[type[Exception], ...]:
    """Return what boto3 may raise on its own account, and what it lets through."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, ClientError, Boto3Error, HTTPError, OSError


@contextmanager
def explained(where: str, credentials: S3Credentials | None = None) -> Iterator[None]:
    """Turn what boto3 raises into errors of ours. `where`: the url that was worked on; `credentials`: whose, so that they can be named."""
    try:
        yield
    except errors() as exc:
        error = explanation(exc, where, credentials)
        try:
            raise error
        finally:
            error.__context__ = None  # see the module


def explanation(
    exc: BaseException, where: str, credentials: S3Credentials | None
) -> StorageError | ConfigurationError:
    """Return the error to raise for one of boto3's."""
    code, where = code_of(exc), redact(where)
    kinds = {kind.__name__ for kind in type(exc).__mro__}
    if code in _OWN:
        kind, what = _OWN[code]
        return kind(f"{where}: {what}")
    if code == "NoSuchBucket":
        return bucket_missing(where, credentials)
    if code in _MISSING:
        return ObjectMissing(f"no such object: {where}")
    if code in _UNKNOWN or code in _FORBIDDEN or kinds.intersection(_NO_KEYS):
        return _refused(exc, code, where, credentials)
    if code in _FULL or _status(exc) == 507:
        return DiskFull(
            f"no space left for {where} ({code}); committed objects are intact: free some space and run again to go on"
        )
    return _other(exc, kinds, where, credentials)


def _other(
    exc: BaseException, kinds: set[str], where: str, credentials: S3Credentials | None
) -> StorageError | ConfigurationError:
    text = _text(exc, credentials)
    if "ProfileNotFound" in kinds:
        return ConfigurationError(f"{where}: {text}; correct the profile's name")
    if "SSLError" in kinds:
        return StorageError(
            f"{where}: the certificate of {_endpoint(credentials)} is not trusted ({text}); correct cert verify"
        )
    if kinds.intersection(_NO_ANSWER):
        name = type(exc).__name__
        return StorageError(
            f"{where}: no answer from {_endpoint(credentials)} ({name}); start the server, or correct the endpoint"
        )
    return StorageError(f"{where}: {text}")


def bucket_missing(where: str, credentials: S3Credentials | None) -> BucketMissing:
    """Return the error for a bucket that is not there."""
    bucket = where.partition("://")[2].partition("/")[0].rpartition("@")[2]
    message = f"expected the bucket {bucket!r} at {_endpoint(credentials)}; there is none: create it or correct the url {where}"
    return BucketMissing(message)


def _refused(
    exc: BaseException, code: str, where: str, credentials: S3Credentials | None
) -> CredentialsRefused:
    whose = f"the credentials ({credentials.source})" if credentials else "the credentials"
    if code in EXPIRED:
        return CredentialsRefused(
            f"{where}: {whose} have expired ({code}); get new ones and run again: what is committed stays"
        )
    if code in _UNKNOWN:
        return CredentialsRefused(
            f"{where}: {_endpoint(credentials)} does not know {whose} ({code}); correct the keys, or the endpoint"
        )
    if code in _FORBIDDEN:
        operation = getattr(exc, "operation_name", "this operation")
        return Forbidden(
            f"{where}: {whose} do not allow {operation} ({code}); allow it, or use others"
        )
    return CredentialsRefused(
        f"{where}: no usable credentials ({code}; looked for {credentials.source if credentials else 'them'}): set AWS_ACCESS_KEY_ID and"
        " AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a credentials file in DATASET_ASSETS_CREDENTIALS"
    )


def _endpoint(credentials: S3Credentials | None) -> str:
    if credentials is None or credentials.endpoint_url is None:
        return "the endpoint"
    return redact(credentials.endpoint_url)


def _status(exc: BaseException) -> int:
    response = getattr(exc, "response", None)
    return (
        int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if isinstance(response, dict)
        else 0
    )


def _text(exc: BaseException, credentials: S3Credentials | None) -> str:
    """Return the text of an error in one line, without the credentials that were used, key ids, and secrets in urls."""
    known = (
        (credentials.access_key, credentials.secret_key, credentials.session_token)
        if credentials
        else ()
    )
    text = " ".join(str(exc).split())[:400]
    return (
        _KEY_ID.sub("***", mask(redact(text), [value for value in known if value]))
        or type(exc).__name__
    )
