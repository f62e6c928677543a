"""Translates boto3's errors: each becomes one line that says what is wrong and what to do.

No line has a secret. The original error is not chained: its text and its attributes may quote
keys, tokens and signatures.
Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

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
from dataset_assets.storage.s3.credentials import S3Credentials

EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
"""Codes for credentials that the server knows and that have expired."""
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


class Refused(StorageError):
    """A condition of the request does not hold: the object has changed (412), or exists already."""


class Changed(StorageError):
    """The object was replaced while it was read."""


class RangeOutside(StorageError):
    """The object ends before the range (416)."""


class DigestRefused(StorageError):
    """The server received other bytes than were sent."""


class UploadGone(StorageError):
    """There is no such multipart upload: it was completed or aborted."""


class Forbidden(CredentialsRefused):
    """The server knows the credentials, and they do not permit this."""


class NotSupported(StorageError):
    """The server does not implement this operation."""


_CHANGED = (Refused, "the object is not the expected one")
_DAMAGED = (DigestRefused, "the server received other bytes than were sent")
_OUTSIDE = (RangeOutside, "the object ends before the range")
_UNSUPPORTED = (NotSupported, "the server does not implement this operation")
_OWN: dict[str, tuple[type[StorageError], str]] = {
    "PreconditionFailed": _CHANGED,
    "412": _CHANGED,
    "ConditionalRequestConflict": (Refused, "another writer is writing the object"),
    "InvalidRange": _OUTSIDE,
    "416": _OUTSIDE,
    "BadDigest": _DAMAGED,
    "InvalidDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "NoSuchUpload": (
        UploadGone,
        "another program or a rule of the bucket aborted its multipart upload; write it again",
    ),
    "NotImplemented": _UNSUPPORTED,
    "MethodNotAllowed": _UNSUPPORTED,
}


def code_of(error: BaseException) -> str:
    """Return the S3 code of an error, or the name of its class."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code or type(error).__name__)


def boto_errors() -> tuple[type[Exception], ...]:
    """Return the errors that boto3 raises, and those of others that it passes on."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, ClientError, Boto3Error, HTTPError, OSError


@contextmanager
def translate_s3_errors(where: str, credentials: S3Credentials | None = None) -> Iterator[None]:
    """Raise errors of this package for those of boto3.

    Args:
        where: the URL that is read or written.
        credentials: those that are used; errors name their source.
    """
    try:
        yield
    except boto_errors() as exc:
        error = translated(exc, where, credentials)
        try:
            raise error
        finally:
            error.__context__ = None  # see the module


def translated(
    exc: BaseException, where: str, credentials: S3Credentials | None
) -> StorageError | ConfigurationError:
    """Return the error to raise for one of boto3's."""
    code = code_of(exc)
    where = redact(where)
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
            f"no space left for {where} ({code}); committed objects are kept: free some space and "
            "run again to resume"
        )
    return _other(exc, kinds, where, credentials)


def _other(
    exc: BaseException, kinds: set[str], where: str, credentials: S3Credentials | None
) -> StorageError | ConfigurationError:
    text = _text(exc, credentials)
    if "ProfileNotFound" in kinds:
        return ConfigurationError(f"{where}: {text}; correct the name of the profile")
    if "SSLError" in kinds:
        return StorageError(
            f"{where}: the certificate of {_endpoint(credentials)} is not trusted ({text}); "
            "correct cert verify"
        )
    if kinds.intersection(_NO_ANSWER):
        name = type(exc).__name__
        return StorageError(
            f"{where}: no answer from {_endpoint(credentials)} ({name}); start the server, or "
            "correct the endpoint"
        )
    if 300 <= _status(exc) < 400:
        return StorageError(
            f"{where}: {_endpoint(credentials)} redirects (HTTP {_status(exc)}) and does not "
            "answer as S3; give the endpoint that it redirects to, or the region of the bucket"
        )
    return StorageError(f"{where}: {text}")


def bucket_missing(where: str, credentials: S3Credentials | None) -> BucketMissing:
    """Return the error for a bucket that does not exist."""
    bucket = where.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return BucketMissing(
        f"expected the bucket {bucket!r} at {_endpoint(credentials)}; there is none: create it or "
        f"correct the URL {where}"
    )


def _refused(
    exc: BaseException, code: str, where: str, credentials: S3Credentials | None
) -> CredentialsRefused:
    whose = f"the credentials ({credentials.source})" if credentials else "the credentials"
    if code in EXPIRED:
        return CredentialsRefused(
            f"{where}: {whose} have expired ({code}); get new ones and run again: what is "
            "committed is kept"
        )
    if code in _UNKNOWN:
        return CredentialsRefused(
            f"{where}: {_endpoint(credentials)} does not know {whose} ({code}); correct the keys, "
            "or the endpoint"
        )
    if code in _FORBIDDEN:
        operation = getattr(exc, "operation_name", "this operation")
        return Forbidden(
            f"{where}: {whose} do not allow {operation} ({code}); allow it, or use others"
        )
    source = credentials.source if credentials else "them"
    return CredentialsRefused(
        f"{where}: no usable credentials ({code}; looked for {source}): set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a credentials file in DATASET_ASSETS_CREDENTIALS"
    )


def _endpoint(credentials: S3Credentials | None) -> str:
    if credentials is None or credentials.endpoint_url is None:
        return "the endpoint"
    return redact(credentials.endpoint_url)


def _status(exc: BaseException) -> int:
    response = getattr(exc, "response", None)
    if not isinstance(response, dict):
        return 0
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _text(exc: BaseException, credentials: S3Credentials | None) -> str:
    """Return the text of an error in one line, without the credentials and other key ids."""
    known = credentials.secrets if credentials else ()
    return redact(" ".join(str(exc).split()), known)[:400] or type(exc).__name__
