"""What travels between folders: frozen records without behaviour beyond their own JSON. Standard library only.

`Cause` is the fixed list of reasons why a row has no sample. `ShardRecord` is the commit record of a shard (`NNNNN_stats.json`),
`Manifest` the set of them, `Plan` the immutable assignment of input rows to shards.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

#: Raised when the meaning of any committed file changes; part of every fingerprint.
SCHEMA_VERSION = 1

SUCCESS = "success"
FAILED_TO_DOWNLOAD = "failed_to_download"
FAILED_TO_RESIZE = "failed_to_resize"


class Cause(StrEnum):
    """Why a row has no sample. Values are stored in the `cause` column and never change their meaning."""

    # the url itself, or policy: no request was made
    INVALID_URL = "invalid_url"
    BLOCKED_SCHEME = "blocked_scheme"
    BLOCKED_PORT = "blocked_port"
    BLOCKED_ADDRESS = "blocked_address"
    ROBOTS_TXT = "robots_txt"
    HOST_UNAVAILABLE = "host_unavailable"
    # the network
    DNS_NOT_FOUND = "dns_not_found"
    DNS_TEMPORARY = "dns_temporary"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_FAILED = "connection_failed"
    CONNECTION_RESET = "connection_reset"
    TLS_ERROR = "tls_error"
    TIMEOUT_CONNECT = "timeout_connect"
    TIMEOUT_FIRST_BYTE = "timeout_first_byte"
    TIMEOUT_TOTAL = "timeout_total"
    TOO_SLOW = "too_slow"
    # the answer
    HTTP_NOT_FOUND = "http_not_found"  # 404, 410
    HTTP_FORBIDDEN = "http_forbidden"  # 401, 402, 403, 407, 451
    HTTP_RATE_LIMITED = "http_rate_limited"  # 429
    HTTP_CLIENT_ERROR = "http_client_error"  # other 4xx, and any status that is not an answer
    HTTP_TRANSIENT = "http_transient"  # 408, 425
    HTTP_SERVER_ERROR = "http_server_error"  # 5xx
    TOO_MANY_REDIRECTS = "too_many_redirects"
    PROTOCOL_ERROR = "protocol_error"
    INCOMPLETE_BODY = "incomplete_body"
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

    @property
    def is_transient(self) -> bool:
        """Whether trying again later can help."""
        return self in TRANSIENT_CAUSES

    @property
    def status(self) -> str:
        """The img2dataset status of a row with this cause."""
        return FAILED_TO_RESIZE if self in CONTENT_CAUSES else FAILED_TO_DOWNLOAD


TRANSIENT_CAUSES = frozenset(
    {
        Cause.HOST_UNAVAILABLE,
        Cause.DNS_TEMPORARY,
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
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """One url to fetch. `token` comes back with the outcome and means nothing to the fetcher."""

    url: str
    token: Any = None


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """What became of one request: a body, or a cause with a message. Never an exception."""

    token: Any
    body: bytes | None = None
    cause: Cause | None = None
    message: str | None = None
    http_status: int = 0  # 0: no answer
    content_type: str = ""  # as sent, lower case, without parameters
    url: str = ""  # after redirects, without user:password
    requests: int = 0  # made for this outcome: retries and redirects included
    redirects: int = 0  # followed on the way to `url`
    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class Media:
    """A payload ready to be stored, or the cause why there is none."""

    payload: bytes | None = None
    extension: str = ""  # without the dot
    width: int | None = None  # px, as stored
    height: int | None = None
    original_width: int | None = None  # px, as fetched
    original_height: int | None = None
    exif: str | None = None  # JSON of tag name -> text
    cause: Cause | None = None
    message: str | None = None
    trailing_bytes: int = 0  # behind the end of the image as fetched, such as the web page of a file that is both


@dataclass(slots=True)
class Row:
    """One input row and what became of it, on its way into a shard.

    `columns` holds img2dataset's metadata columns in its order (input columns, url, key, status, error_message, ...): they go into the sample's JSON
    and the sidecar. `extra` holds what we add (cause, http_status, ...): sidecar only.
    """

    index: int  # position within the shard
    key: str
    columns: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    payload: bytes | None = None  # None: no sample
    extension: str = ""
    caption: str | None = None  # text of the caption column, when there is one
    cause: Cause | None = None  # None: the row has a sample
    parts: Mapping[str, bytes] = field(default_factory=dict)  # further members of the sample, by extension: "seg.png"


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One committed file of a shard."""

    name: str  # relative to the folder of the shard set
    bytes: int
    sha256: str | None = None  # hex; None for a folder of files


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """The commit record of a shard, stored as `NNNNN_stats.json`: the shard exists if and only if this does and agrees.

    The first eight keys are img2dataset's, with its meaning.
    """

    count: int  # input rows
    successes: int
    failed_to_download: int
    failed_to_resize: int
    duration: float  # s
    start_time: float  # s since the epoch
    end_time: float
    status_dict: dict[str, int]  # "success" and raw messages -> rows
    name: str  # "00000"
    shard_id: int
    fingerprint: str  # of the shard's rows and of the options that shape its bytes
    causes: dict[str, int] = field(default_factory=dict)  # Cause -> rows
    files: tuple[ShardFile, ...] = ()
    requests: int = 0
    bytes_downloaded: int = 0
    bytes_stored: int = 0
    schema_version: int = SCHEMA_VERSION

    @property
    def record_name(self) -> str:
        """File name of the record."""
        return f"{self.name}_stats.json"

    def to_json(self) -> bytes:
        """Serialize."""
        return json.dumps(asdict(self), indent=4, ensure_ascii=False).encode("utf-8", "backslashreplace")

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a record.

        Raises:
            ValueError, TypeError, KeyError: it is not one (a record cut by a crash, a record of another tool).
        """
        raw = json.loads(data)
        raw["files"] = tuple(ShardFile(**entry) for entry in raw["files"])
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to make: which rows of the plan, and the folder (a store url) of the shard set that it belongs to."""

    shard_id: int
    folder: str


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """Work done since the last report of the same worker."""

    rows: int
    successes: int
    bytes_downloaded: int


@dataclass(frozen=True, slots=True)
class ShardResult:
    """How one task ended: a record, or an error that a retry did not cure."""

    task: ShardTask
    record: ShardRecord | None = None
    error: str | None = None
    skipped: bool = False  # it was committed before


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every committed shard of a set, in shard order: what readers open first and the only thing they trust."""

    shards: tuple[ShardRecord, ...]
    fingerprint: str  # of options and schema version, not of rows: equal for all shards of a set
    output_format: str
    schema_version: int = SCHEMA_VERSION
    extra_files: tuple[ShardFile, ...] = ()  # of the whole set, beside its shards: an index, what a dataset is

    @property
    def rows(self) -> int:
        """Input rows."""
        return sum(shard.count for shard in self.shards)

    @property
    def successes(self) -> int:
        """Rows with a sample."""
        return sum(shard.successes for shard in self.shards)

    @property
    def causes(self) -> dict[str, int]:
        """Failed rows by cause, most frequent first."""
        return add_counts(shard.causes for shard in self.shards)

    def to_json(self) -> bytes:
        """Serialize. The text depends only on the committed bytes, never on clocks: equal sets give equal manifests."""
        shards = [
            {
                "name": shard.name,
                "shard_id": shard.shard_id,
                "fingerprint": shard.fingerprint,
                "rows": shard.count,
                "successes": shard.successes,
                "causes": dict(sorted(shard.causes.items())),
                "files": [asdict(entry) for entry in shard.files],
            }
            for shard in self.shards
        ]
        head = {
            "schema_version": self.schema_version,
            "output_format": self.output_format,
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            "successes": self.successes,
            "causes": dict(sorted(self.causes.items())),
        }
        extra = {"extra_files": [asdict(entry) for entry in self.extra_files]} if self.extra_files else {}
        return json.dumps({**head, **extra, "shards": shards}, indent=1).encode()


@dataclass(frozen=True, slots=True)
class PlanPart:
    """The rows of one url list, cut into shards. One parquet file, one row group per shard."""

    name: str  # the list, without credentials
    fingerprint: str  # sha256 of the list's rows as planned
    rows: int
    first_shard: int
    shard_count: int
    files: tuple[str, ...]  # parquet files in the plan folder; file i holds the next `shards_per_file` shards
    source_bytes: int = 0  # size of the list when it was read
    shard_fingerprints: tuple[str, ...] = ()  # sha256 of each shard's rows


@dataclass(frozen=True, slots=True)
class Plan:
    """Immutable assignment of input rows to shards. New lists add parts; nothing planned ever moves."""

    samples_per_shard: int
    shards_per_file: int
    columns: tuple[str, ...]  # input columns in output order: additional columns, caption, url
    has_caption: bool
    parts: tuple[PlanPart, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def rows(self) -> int:
        """Planned rows."""
        return sum(part.rows for part in self.parts)

    @property
    def shard_count(self) -> int:
        """Planned shards."""
        return sum(part.shard_count for part in self.parts)

    def to_json(self) -> bytes:
        """Serialize."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a plan back."""
        raw = json.loads(data)
        raw["columns"] = tuple(raw["columns"])
        raw["parts"] = tuple(
            PlanPart(**{**part, "files": tuple(part["files"]), "shard_fingerprints": tuple(part["shard_fingerprints"])})
            for part in raw["parts"]
        )
        return cls(**raw)


def add_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up dictionaries of counts, most frequent first."""
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
