"""`shards:` of a `defs.yaml`, and how it becomes options of the library.

A key that is left out has the library's default, except where this file sets its own: robots.txt
is honored by default here.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import ImageOptions
from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Problem, Section, errors_at_keys
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.stages.raw_urls.section import Planning, Urls
from dataset_assets.pipelines.download.options import DownloadOptions, limits_of_files

SHARDS = "shards"
#: Metadata key of the failed rows by cause, which the schedule `retry_failed` reads.
CAUSES = "causes"

_IMAGE_KEYS = {"size": "image_size", "min_size": "min_image_size", "max_area": "max_image_area"}
#: Set by `credential`, not for datasets that others share, or limits that need no tuning.
_NO_FETCH_KEYS = {
    *("headers", "header_hosts"),
    "verify_tls",
    *("max_header_bytes", "max_buffered_bytes", "allow_empty"),
    *("backoff_s", "max_backoff_s", "max_retry_after_s"),
}
#: Set by other keys or by `source.urls`, or of no use in the graph.
_NO_DOWNLOAD_KEYS = {
    *("image", "fetch", "verify_hash", "bbox_col"),
    *("layout", "oom_shard_count", "max_shard_retry", "reorder_bytes"),
}


def _partitions_per_run(value: Any) -> Any:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if value != "all" and not is_count:
        raise ConfigurationError(f"expected an integer of at least 1, or all, got {value!r}")
    return value


@mirrors(ImageOptions, renamed=_IMAGE_KEYS)
class Image(Section):
    """How images are resized, filtered and encoded."""


class Credential(Section):
    """A secret that is sent as a request header to one host, and to no other after a redirect."""

    host: str
    header: str = "Authorization"
    prefix: str = ""
    """Text before the secret, such as `"Token "`."""
    env: str
    """Environment variable with the secret; read when shards are made."""


@mirrors(FetchOptions, renamed={"connections": "max_connections"}, omit=_NO_FETCH_KEYS)
class Fetching(Section):
    """How URLs are fetched."""

    robots_txt: bool = True
    allow_private_networks: list[str] = Field(default_factory=list)
    """Private networks that may be reached, such as `[127.0.0.0/8]`, or `[all]`.

    DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS adds to it.
    """


@mirrors(DownloadOptions, renamed={"processes": "processes_count"}, omit=_NO_DOWNLOAD_KEYS)
class ShardsSection(Fetching, Planning):
    """How rows become shards."""

    media: Literal["image", "any"] = "image"
    """`any`: files of any kind, stored unchanged, empty ones too.

    Unless `total_timeout_s` and `max_bytes` are set, such a file may take any time as long as
    16 KiB/s come, and have 2 GiB.
    """
    image: Image = Image()
    output_format: str = "webdataset"
    compute_hash: Literal["md5", "sha256", "sha512"] | None = "sha256"
    max_partitions_per_run: Annotated[
        int | Literal["all"], BeforeValidator(_partitions_per_run)
    ] = 8
    """Partitions of a backfill in one run.

    With `all`, the command line can materialize ranges.
    """
    min_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The check `success_rate` warns below this share."""
    credential: Credential | None = None

    def check_options(self) -> None:
        """Build the options of the library, which checks the values."""
        self.base_options(fetch=self.fetch_options())
        if self.media == "any" and "image" in self.model_fields_set:
            text = "expected no `image` with `media: any`: files are stored unchanged"
            raise errors_at_keys("ShardsSection", [("image", self.image, text)])

    def fetch_options(self, **more: Any) -> FetchOptions:
        """Build the options of the library for requests; `more` replaces some."""
        given = {**self.given(FetchOptions), **more}
        return FetchOptions(**(limits_of_files(given) if self.media == "any" else given))

    def base_options(self, **more: Any) -> DownloadOptions:
        """Build the options of the library, without what `source.urls` adds."""
        image = self.image.build(ImageOptions) if self.media == "image" else None
        # `null` is a value here: no hash.
        more = {"image": image, "compute_hash": self.compute_hash, **more}
        return self.build(DownloadOptions, **more)

    def download_options(self, urls: Urls, *, processes: int = 1, **fetch: Any) -> DownloadOptions:
        """Build the options of a whole download.

        Args:
            urls: the section of the source.
            processes: used if the YAML sets none.
            fetch: replaces fetch options.
        """
        verify = urls.verify_hash
        return self.base_options(
            fetch=self.fetch_options(**fetch),
            verify_hash=(verify.column, verify.type) if verify is not None else None,
            bbox_col=urls.list_options().bbox_col,
            processes_count=self.given(DownloadOptions).get("processes_count", processes),
        )


def problems(spec: DatasetSpec) -> Iterator[Problem]:
    """Find keys that conflict with the source."""
    urls = spec.find(Urls)
    if urls is None and spec.automation.retry_failed is not None:
        text = "expected no `retry_failed`: only URLs are fetched again"
        yield "automation", spec.automation, text
    if urls is not None:
        try:
            spec.section(ShardsSection).download_options(urls)
        except ConfigurationError as exc:
            yield "source", spec.source, str(exc)
