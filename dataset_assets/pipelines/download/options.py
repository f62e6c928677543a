"""Options of a download, validated on construction, and the workers that they ask for.

Imports nothing heavy: the definitions of the graph load this, and `download` starts its workers
with it before it loads anything that takes long.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dataset_assets import checks, registry
from dataset_assets.distribute import Distributor
from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import FORMATS, ImageOptions
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION

#: What stands in fingerprints for all formats that are decoded: those of the first versions, since
#: committed shards keep their meaning, and only rows that failed then would have an image now.
_FIRST_FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff")
HASHES = ("md5", "sha256", "sha512")
STORED_URLS = ("scrubbed", "full")
LAYOUTS = ("dataset_assets", "img2dataset")

#: Bytes of one file of any kind: the largest value that every output format can hold.
MAX_FILE_BYTES = (1 << 31) - 1
#: A file of any kind may take any time if it comes at least at this speed.
_STEADY = {"total_timeout_s": math.inf, "low_speed_bytes_per_s": 16 << 10, "low_speed_time_s": 30.0}

# Modules that a process imports once before workers are forked from it.
_WORKER = "dataset_assets.pipelines.download._worker_preload"
_KERNEL = "dataset_assets.pipelines.download._kernel_preload"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """How rows become shards.

    Raises:
        ConfigurationError: a value is outside its range; the message says what was expected.
    """

    image: ImageOptions | None = field(default_factory=ImageOptions)
    """What is done with each image. None: files of any kind, stored as they are."""
    fetch: FetchOptions = field(default_factory=FetchOptions)
    """How URLs are fetched."""
    output_format: str = "webdataset"
    """Format of the shards: the name of a plug-in in `dataset_assets.shards.formats`."""
    samples_per_shard: int = 10_000
    """Rows of the list in each shard, failed ones included. A worker has up to 20,000 rows in open
    shards, and at least two shards: after a crash they are fetched again."""
    oom_shard_count: int = 5
    """Digits of a shard's name: 5 gives `00000`."""
    compute_hash: str | None = "sha256"
    """Hash of the original bytes to store: md5, sha256 or sha512. None: no hash."""
    verify_hash: tuple[str, str] | None = None
    """Column with the expected hashes, and their type, which must equal `compute_hash`. A row whose
    bytes have another hash fails. None: no check."""
    bbox_col: str | None = None
    """Column of boxes to blur: lists of [left, top, right, bottom] as fractions of width and
    height. None: nothing is blurred."""
    layout: str = "dataset_assets"
    """`img2dataset` writes exactly the files and columns of img2dataset, and no manifest."""
    store_url: str = "scrubbed"
    """`scrubbed`: stored URLs have no user, password or known signature parameter, such as
    `X-Amz-Signature`. `full`: they are stored as in the list; `publish` refuses them where they
    have such parts."""
    distributor: str = "multiprocessing"
    """Where shards are made: the name of a plug-in in `dataset_assets.distribute`."""
    processes_count: int = 1
    """Worker processes."""
    codec_threads: int | None = None
    """Threads of each process that decode and encode. 0: its main thread. None: the cores divided
    by the processes."""
    max_shard_retry: int = 1
    """Attempts after the first for a shard that failed as a whole."""
    reorder_bytes: int = 32 << 20
    """Payload bytes that wait in memory for an earlier row of their shard, in all open shards of a
    worker; more are spilled to disk: beside a local output, else in the system's folder for
    temporary files."""

    def __post_init__(self) -> None:
        registry.check("output_format", self.output_format)
        registry.check("distributor", self.distributor)
        checks.integer("samples_per_shard", self.samples_per_shard, 1)
        checks.integer("oom_shard_count", self.oom_shard_count, 1)
        checks.integer("processes_count", self.processes_count, 1)
        checks.integer("max_shard_retry", self.max_shard_retry, 0)
        if self.codec_threads is not None:
            checks.integer("codec_threads", self.codec_threads, 0)
        checks.one_of("layout", self.layout, LAYOUTS)
        checks.one_of("store_url", self.store_url, STORED_URLS)
        if self.compute_hash is not None:
            checks.one_of("compute_hash", self.compute_hash, HASHES)
        self._check_verify_hash()

    def _check_verify_hash(self) -> None:
        if self.verify_hash is None:
            return
        if len(self.verify_hash) != 2:
            raise ConfigurationError(
                f"verify_hash: expected [column, hash type], got {self.verify_hash!r}"
            )
        column, hash_type = self.verify_hash
        if hash_type != self.compute_hash:
            raise ConfigurationError(
                f"verify_hash: expected [{column!r}, {self.compute_hash!r}], "
                f"got [{column!r}, {hash_type!r}]; use the hash type of compute_hash"
            )

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) of the options that shape the bytes of a shard.

        Speed, limits and retries are not part of it, and neither are the rows.
        """
        shaping = {
            "schema_version": SCHEMA_VERSION,
            "image": _shaping(self.image) if self.image is not None else None,
            "output_format": self.output_format,
            "samples_per_shard": self.samples_per_shard,
            "oom_shard_count": self.oom_shard_count,
            "compute_hash": self.compute_hash,
            "verify_hash": self.verify_hash,
            "bbox_col": self.bbox_col,
            "layout": self.layout,
        }
        if self.store_url != STORED_URLS[0]:
            shaping["store_url"] = self.store_url
        return fingerprint_of(shaping, sort_keys=True, default=str)

    @property
    def is_img2dataset(self) -> bool:
        """Whether the output has exactly the files and columns of img2dataset."""
        return self.layout == "img2dataset"

    @property
    def codec_thread_count(self) -> int:
        """Codec threads of one process; 0 means its main thread."""
        if self.codec_threads is not None:
            return self.codec_threads
        if not hasattr(os, "sched_getaffinity"):
            return 0
        threads = len(os.sched_getaffinity(0)) // self.processes_count
        return threads if threads > 1 else 0

    def new_distributor(self, count: int = 1) -> Distributor:
        """Return the distributor for `count` workers.

        The first call starts to load what workers need, in another process, and returns at once.
        """
        preload = [_WORKER]
        if self.image is not None and self.image.extract_exif:
            preload.append("exifread")
        if self.image is not None and self.image.needs_area_kernel:
            preload.append(_KERNEL)
        distributor: Distributor = registry.load("distributor", self.distributor)(
            count, preload=tuple(preload)
        )
        return distributor


def limits_of_files(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of a download of files of any kind: those that are given, and defaults.

    Such files may be large, or empty. Nothing cuts one that comes steadily, unless the caller sets
    a total timeout or a size.

    Args:
        given: field of `FetchOptions` -> value; None is not given.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    steady = {} if "total_timeout_s" in chosen else _STEADY
    return {"max_bytes": MAX_FILE_BYTES, "allow_empty": True, **steady, **chosen}


def _shaping(image: ImageOptions) -> dict[str, Any]:
    """Return the options of images for a fingerprint."""
    shaping = asdict(image)
    if image.formats == FORMATS:
        shaping["formats"] = _FIRST_FORMATS
    elif image.formats == _FIRST_FORMATS:
        shaping["formats"] = ("only", *_FIRST_FORMATS)
    return shaping
