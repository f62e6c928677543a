"""What a download of url lists can be told, checked once when it is made."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import ImageOptions
from dataset_assets.records.shards import SCHEMA_VERSION

HASHES = ("md5", "sha256", "sha512")
LAYOUTS = ("dataset_assets", "img2dataset")


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """How rows become shards.

    Raises:
        ConfigurationError: a value can not work; the message says what was expected and what came.
    """

    image: ImageOptions | None = field(
        default_factory=ImageOptions
    )  # None: any file, kept as it is
    fetch: FetchOptions = field(default_factory=FetchOptions)
    output_format: str = "webdataset"
    samples_per_shard: int = 10_000
    oom_shard_count: int = 5  # digits of a shard's name
    compute_hash: str | None = "sha256"  # of the original bytes
    verify_hash: tuple[str, str] | None = None  # (column, md5 | sha256 | sha512)
    bbox_col: str | None = None  # column of boxes to blur: lists of [x0, y0, x1, y1] in 0..1
    layout: str = "dataset_assets"  # "img2dataset": exactly its columns and files, nothing added
    distributor: str = "multiprocessing"
    processes_count: int = 1
    codec_threads: int | None = (
        None  # per process; 0: the process's main thread; None: as many as there are cores for
    )
    max_shard_retry: int = 1
    reorder_bytes: int = (
        32 << 20
    )  # payloads that wait in memory for an earlier row, per open shard; more are spilled to disk

    def __post_init__(self) -> None:
        registry.check("output_format", self.output_format)
        registry.check("distributor", self.distributor)
        _at_least("samples_per_shard", self.samples_per_shard, 1)
        _at_least("oom_shard_count", self.oom_shard_count, 1)
        _at_least("processes_count", self.processes_count, 1)
        _at_least("max_shard_retry", self.max_shard_retry, 0)
        _one_of("layout", self.layout, LAYOUTS)
        if self.compute_hash is not None:
            _one_of("compute_hash", self.compute_hash, HASHES)
        self._check_verify_hash()

    def _check_verify_hash(self) -> None:
        if self.verify_hash is None:
            return
        if len(self.verify_hash) != 2:
            raise ConfigurationError(
                f"verify_hash: expected [column, hash type], came {self.verify_hash!r}"
            )
        if self.verify_hash[1] != self.compute_hash:
            raise ConfigurationError(
                f"verify_hash: the hash type must be the one in compute_hash; "
                f"expected [{self.verify_hash[0]!r}, {self.compute_hash!r}], came {list(self.verify_hash)!r}"
            )

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that shapes the bytes of a shard, apart from its rows. Pace, limits and retries are not part of it."""
        shaping = {
            "schema_version": SCHEMA_VERSION,
            "image": asdict(self.image) if self.image is not None else None,
            "output_format": self.output_format,
            "samples_per_shard": self.samples_per_shard,
            "oom_shard_count": self.oom_shard_count,
            "compute_hash": self.compute_hash,
            "verify_hash": self.verify_hash,
            "bbox_col": self.bbox_col,
            "layout": self.layout,
        }
        return hashlib.sha256(json.dumps(shaping, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def codec_thread_count(self) -> int:
        """Codec threads of one process; 0 means its main thread."""
        if self.codec_threads is not None:
            return self.codec_threads
        threads = (
            len(os.sched_getaffinity(0)) // self.processes_count
            if hasattr(os, "sched_getaffinity")
            else 1
        )
        return threads if threads > 1 else 0


def _at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise ConfigurationError(
            f"{name}: expected a whole number of at least {least}, came {value!r}"
        )


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}: expected one of {', '.join(choices)}, came {value!r}")
