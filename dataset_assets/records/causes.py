"""Why a row has no sample: `Cause` is the complete list. Standard library only."""

from collections.abc import Iterable
from enum import StrEnum

from dataset_assets.checks import one_of
from dataset_assets.errors import ConfigurationError

#: The statuses of img2dataset.
SUCCESS = "success"
FAILED_TO_DOWNLOAD = "failed_to_download"
FAILED_TO_RESIZE = "failed_to_resize"

#: Stands for all transient causes where causes are named.
TRANSIENT = "transient"


class Cause(StrEnum):
    """Why a row has no sample. Values are stored in the column `cause` and keep their meaning."""

    # the URL itself, or a policy: no request was made
    INVALID_URL = "invalid_url"
    BLOCKED_SCHEME = "blocked_scheme"
    BLOCKED_PORT = "blocked_port"
    BLOCKED_ADDRESS = "blocked_address"
    ROBOTS_TXT = "robots_txt"
    HOST_UNAVAILABLE = "host_unavailable"
    # the network
    DNS_NOT_FOUND = "dns_not_found"
    DNS_TEMPORARY = "dns_temporary"
    PROXY_ERROR = "proxy_error"  # the proxy, not the host
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_FAILED = "connection_failed"
    CONNECTION_RESET = "connection_reset"
    TLS_ERROR = "tls_error"
    TIMEOUT_CONNECT = "timeout_connect"
    TIMEOUT_FIRST_BYTE = "timeout_first_byte"
    TIMEOUT_TOTAL = "timeout_total"
    TOO_SLOW = "too_slow"
    # the response
    HTTP_NOT_FOUND = "http_not_found"  # 404, 410
    HTTP_FORBIDDEN = "http_forbidden"  # 401, 402, 403, 407, 451
    HTTP_RATE_LIMITED = "http_rate_limited"  # 429
    HTTP_CLIENT_ERROR = "http_client_error"  # other 4xx, and any status that is not final
    HTTP_TRANSIENT = "http_transient"  # 408, 425
    HTTP_SERVER_ERROR = "http_server_error"  # 5xx
    TOO_MANY_REDIRECTS = "too_many_redirects"
    PROTOCOL_ERROR = "protocol_error"
    INCOMPLETE_BODY = "incomplete_body"
    PARTIAL_BODY = "partial_body"  # 206 with a part that nobody asked for
    EMPTY_BODY = "empty_body"
    TOO_LARGE = "too_large"
    BAD_ENCODING = "bad_encoding"
    OPT_OUT = "opt_out"
    HASH_MISMATCH = "hash_mismatch"
    # the content
    NOT_IMAGE = "not_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    DECODE_ERROR = "decode_error"
    TOO_MANY_PIXELS = "too_many_pixels"
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_AREA_TOO_LARGE = "image_area_too_large"
    ASPECT_RATIO_TOO_LARGE = "aspect_ratio_too_large"
    INVALID_BBOX = "invalid_bbox"
    ENCODE_ERROR = "encode_error"
    NOT_VIDEO = "not_video"
    VIDEO_TOO_SHORT = "video_too_short"  # fewer frames than its bucket
    NO_CAPTION = "no_caption"

    @property
    def is_transient(self) -> bool:
        """Whether a later attempt can succeed."""
        return self in TRANSIENT_CAUSES

    @property
    def status(self) -> str:
        """The img2dataset status of a row with this cause."""
        return FAILED_TO_RESIZE if self in CONTENT_CAUSES else FAILED_TO_DOWNLOAD


TRANSIENT_CAUSES = frozenset(
    {
        Cause.HOST_UNAVAILABLE,
        Cause.DNS_TEMPORARY,
        Cause.PROXY_ERROR,
        Cause.CONNECTION_REFUSED,
        Cause.CONNECTION_FAILED,
        Cause.CONNECTION_RESET,
        Cause.TIMEOUT_CONNECT,
        Cause.TIMEOUT_FIRST_BYTE,
        Cause.TIMEOUT_TOTAL,
        Cause.TOO_SLOW,
        Cause.HTTP_RATE_LIMITED,
        Cause.HTTP_TRANSIENT,
        Cause.HTTP_SERVER_ERROR,
        Cause.PROTOCOL_ERROR,
        Cause.INCOMPLETE_BODY,
    }
)
CONTENT_CAUSES = frozenset(
    {
        Cause.NOT_IMAGE,
        Cause.UNSUPPORTED_FORMAT,
        Cause.DECODE_ERROR,
        Cause.TOO_MANY_PIXELS,
        Cause.IMAGE_TOO_SMALL,
        Cause.IMAGE_AREA_TOO_LARGE,
        Cause.ASPECT_RATIO_TOO_LARGE,
        Cause.INVALID_BBOX,
        Cause.ENCODE_ERROR,
        Cause.NOT_VIDEO,
        Cause.VIDEO_TOO_SHORT,
        Cause.NO_CAPTION,
    }
)


def parse_causes(names: str | Iterable[str]) -> frozenset[Cause]:
    """Return the causes that an option names; "transient" stands for all transient ones.

    Raises:
        ConfigurationError: a name is not a cause.
    """
    known = [TRANSIENT, *Cause]
    causes: set[Cause] = set()
    if not isinstance(names, Iterable):
        raise ConfigurationError(f"cause: expected a list of causes, got {names!r}")
    for name in [names] if isinstance(names, str) else names:
        one_of("cause", name, known)
        causes |= TRANSIENT_CAUSES if name == TRANSIENT else {Cause(name)}
    return frozenset(causes)
