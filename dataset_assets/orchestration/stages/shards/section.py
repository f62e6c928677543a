"""`shards:` of a `defs.yaml`, and how it becomes options of the library.

A key that is left out keeps the library's default, except where this file says otherwise (robots.txt is honoured by default here).
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import ImageOptions
from dataset_assets.orchestration.common.section import Section, checked, errors_at_keys, given_keys
from dataset_assets.orchestration.common.source import Urls
from dataset_assets.pipelines.download.options import DownloadOptions

Count = Annotated[int, Field(ge=1)]

#: key here -> name in the library, where they differ
IMAGE_NAMES = {"size": "image_size", "min_size": "min_image_size", "max_area": "max_image_area"}
FETCH_NAMES = {"connections": "max_connections"}


def _partitions_per_run(value: Any) -> Any:
    if value != "all" and not (
        isinstance(value, int) and value >= 1 and not isinstance(value, bool)
    ):
        raise ConfigurationError(f"expected a whole number above 0, or all, got {value!r}")
    return value


class Image(Section):
    """What is done to images. Left out: the defaults of `dataset_assets.images.options.ImageOptions`."""

    size: int | None = None
    """Length of a side, px. See `resize_mode` for which."""
    resize_mode: str | None = None
    resize_only_if_bigger: bool | None = None
    upscale_interpolation: str | None = None
    downscale_interpolation: str | None = None
    encode_format: str | None = None
    encode_quality: int | None = None
    skip_reencode: bool | None = None
    disable_all_reencoding: bool | None = None
    min_size: int | None = None
    """Images with a shorter side than this fail, px."""
    max_area: float | None = None
    """Images with more pixels than this fail, px."""
    max_aspect_ratio: float | None = None
    max_pixels: int | None = None
    """Images that would decode to more pixels than this are not decoded, px."""
    scaled_decode: bool | None = None
    """Let the JPEG decoder scale down first: faster, not pixel-exact."""
    extract_exif: bool | None = None
    formats: list[str] | None = None
    area_kernel: str | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        checked(self, self.options, IMAGE_NAMES)
        return self

    def options(self) -> ImageOptions:
        """Build the options of the library."""
        return ImageOptions(**given_keys(self, IMAGE_NAMES))


class Credential(Section):
    """A secret that is sent as a request header to one host, and never to another after a redirect."""

    host: str
    header: str = "Authorization"
    prefix: str = ""
    """Text before the secret, such as `"Token "`."""
    env: str
    """Environment variable with the secret, read when shards are made."""


class Fetching(Section):
    """How urls are fetched. Left out: the defaults of `dataset_assets.fetch.options.FetchOptions`, but for robots.txt."""

    connections: int | None = None
    """Requests at once, per process."""
    max_connections_per_host: int | None = None
    max_requests_per_s_per_host: float | None = None
    timeout_s: float | None = None
    """To connect, to the first byte, and between two bytes: each."""
    total_timeout_s: float | None = None
    low_speed_bytes_per_s: int | None = None
    low_speed_time_s: float | None = None
    retries: int | None = None
    """Attempts after the first, for causes that may go away."""
    max_bytes: int | None = None
    """Larger files fail, bytes."""
    max_redirects: int | None = None
    robots_txt: bool = True
    user_agent: str | None = None
    user_agent_token: str | None = None
    """Your name in `X-Robots-Tag` and robots.txt rules."""
    disallowed_directives: list[str] | None = None
    """Values of `X-Robots-Tag` that mean no."""
    tdm_reservation: bool | None = None
    """Honour the `TDM-Reservation` header."""
    allow_private_networks: list[str] = Field(default_factory=list)
    """Networks that are refused otherwise: `[127.0.0.0/8]`, or `[all]`. DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS adds to it."""
    ca_file: str | None = None

    @model_validator(mode="after")
    def _can_fetch(self) -> Self:
        checked(self, self.fetch_options, FETCH_NAMES)
        return self

    def fetch_options(self, **more: Any) -> FetchOptions:
        """Build the options of the library; `more` replaces some."""
        given = given_keys(self, FETCH_NAMES, Fetching.model_fields.keys())
        return FetchOptions(**{"robots_txt": self.robots_txt, **given, **more})


class Shards(Fetching):
    """How rows become shards."""

    media: Literal["image", "any"] = "image"
    """`any`: files of any kind, kept as they are."""
    image: Image = Image()
    output_format: str = "webdataset"
    samples_per_shard: Count = 10_000
    compute_hash: Literal["md5", "sha256", "sha512"] | None = "sha256"

    shards_per_partition: Count | None = None
    """Left out: 1, or as many as are needed to stay below 10,000 partitions; decided once per list."""
    max_partitions_per_run: Annotated[
        int | Literal["all"], BeforeValidator(_partitions_per_run)
    ] = 8
    """How many partitions of a backfill go into one run. `all` lets the command line materialize ranges."""
    min_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Below it the check `success_rate` warns."""

    distributor: str = "multiprocessing"
    processes: Count | None = None
    """Left out: one per core."""
    codec_threads: int | None = None
    credential: Credential | None = None

    @field_validator("output_format")
    @classmethod
    def _known_output_format(cls, name: str) -> str:
        return registry.check("output_format", name)

    @field_validator("distributor")
    @classmethod
    def _known_distributor(cls, name: str) -> str:
        return registry.check("distributor", name)

    @model_validator(mode="after")
    def _no_image_options_for_any(self) -> Self:
        if self.media == "any" and "image" in self.model_fields_set:
            raise errors_at_keys(
                "Shards",
                [
                    (
                        "image",
                        self.image,
                        "expected no `image` with `media: any`: files are kept as they are",
                    )
                ],
            )
        return self

    def download_options(self, urls: Urls, *, processes: int = 1, **fetch: Any) -> DownloadOptions:
        """Build the options of the whole download, with `processes` when the YAML does not say how many; `fetch` replaces options for fetching."""
        verify = urls.verify_hash
        return DownloadOptions(
            image=self.image.options() if self.media == "image" else None,
            fetch=self.fetch_options(**fetch),
            output_format=self.output_format,
            samples_per_shard=self.samples_per_shard,
            compute_hash=self.compute_hash,
            verify_hash=(verify.column, verify.type) if verify else None,
            bbox_col=urls.bbox_column,
            distributor=self.distributor,
            processes_count=self.processes or processes,
            codec_threads=self.codec_threads,
        )
