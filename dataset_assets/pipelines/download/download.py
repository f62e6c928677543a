"""`download`: url lists in, shards out, with the arguments of img2dataset; `download_any` has those of any2dataset.

Both plan, make the shards that are missing, and say what became of every row. Arguments mean what they mean there; the keyword-only ones are ours.
Source: img2dataset 1.47 and any2dataset 1.0.1.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from dataset_assets.fetch.options import OPT_OUT_DIRECTIVES, FetchOptions, user_agent
from dataset_assets.images.options import ImageOptions
from dataset_assets.pipelines.download._workers import prepare_workers
from dataset_assets.pipelines.download.arguments import (
    DownloadReport,
    is_image,
    private_networks,
)
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.causes import parse_causes
from dataset_assets.redaction import redact
from dataset_assets.storage.store import open_store

if TYPE_CHECKING:
    from dataset_assets.urls.lists import ListOptions

__all__ = ["DownloadReport", "download", "download_any"]

logger = logging.getLogger(__name__)


def download(  # noqa: PLR0913, PLR0917 - img2dataset's arguments, in its order
    url_list: Any,
    image_size: int = 256,
    output_folder: str = "images",
    processes_count: int = 1,
    resize_mode: str = "border",
    resize_only_if_bigger: bool = False,
    upscale_interpolation: str = "lanczos",
    downscale_interpolation: str = "area",
    encode_quality: int = 95,
    encode_format: str = "jpg",
    skip_reencode: bool = False,
    output_format: str = "files",
    input_format: str = "txt",
    url_col: str = "url",
    caption_col: str | None = None,
    bbox_col: str | None = None,
    thread_count: int = 256,
    number_sample_per_shard: int = 10000,
    extract_exif: bool = True,
    save_additional_columns: Sequence[str] | None = None,
    timeout: float = 10,
    enable_wandb: bool = False,
    wandb_project: str = "img2dataset",
    oom_shard_count: int = 5,
    compute_hash: str | None = "sha256",
    verify_hash: Sequence[str] | None = None,
    distributor: str = "multiprocessing",
    subjob_size: int = 1000,
    retries: int = 0,
    disable_all_reencoding: bool = False,
    min_image_size: int = 0,
    max_image_area: float = math.inf,
    max_aspect_ratio: float = math.inf,
    incremental_mode: str = "incremental",
    max_shard_retry: int = 1,
    user_agent_token: str | None = None,
    disallowed_header_directives: Sequence[str] | None = None,
    ignore_ssl_certificate: bool = False,
    *,
    media: str = "image",
    retry_failed: Sequence[str] = (),
    layout: str = "dataset_assets",
    codec_threads: int | None = None,
    area_kernel: str = "auto",
    scaled_decode: bool = False,
    max_pixels: int = 64_000_000,
    total_timeout: float | None = None,
    max_bytes: int = 64 << 20,
    max_buffered_bytes: int = 64 << 20,
    robots_txt: bool = False,
    allow_private_networks: Sequence[str] | bool | None = None,
    max_connections_per_host: int | None = None,
    max_requests_per_second_per_host: float | None = None,
    contact: str | None = None,
    request_headers: Mapping[str, str] | None = None,
    request_header_hosts: Sequence[str] = (),
    ca_file: str | None = None,
) -> DownloadReport:
    """Download a list of urls into shards.

    Args:
        url_list: a file, folder or glob on any fsspec url; or, in memory, urls, dicts, a pandas or Arrow table.
        image_size: px, of the side that `resize_mode` goes by.
        output_folder: a path or url.
        processes_count: worker processes.
        resize_mode: "no"; "keep_ratio" (shorter side = size), "keep_ratio_largest" (longer side), "center_crop", "border" (padded with white).
        resize_only_if_bigger: leave smaller images as they are.
        upscale_interpolation: "nearest", "linear", "bilinear", "cubic", "bicubic", "area", "lanczos", "lanczos4".
        downscale_interpolation: likewise.
        encode_quality: jpg and webp 1 to 100 (webp above 100: lossless); png compression 0 to 9.
        encode_format: "jpg", "png" or "webp".
        skip_reencode: keep the original bytes of images that nothing had to be done to.
        output_format: "files", "webdataset", "parquet", "tfrecord" or "dummy".
        input_format: "txt", "csv", "tsv", "json", "jsonl", "parquet", or "auto" by file name; compression is recognised.
        url_col: column of the urls.
        caption_col: column of the captions.
        bbox_col: column of boxes to blur, lists of [left, top, right, bottom] in shares of width and height.
        thread_count: connections of each process; there are no threads behind them.
        number_sample_per_shard: rows of a shard.
        extract_exif: keep EXIF tags as JSON.
        save_additional_columns: columns of the list to keep.
        timeout: s to connect, to the first byte, and without any byte; see `total_timeout`.
        enable_wandb: log to Weights & Biases (extra `wandb`).
        wandb_project: its project.
        oom_shard_count: digits of a shard's name.
        compute_hash: "md5", "sha256", "sha512" of the original bytes, or None.
        verify_hash: [column, type]: rows whose bytes have another hash than the column says fail.
        distributor: "multiprocessing" or "serial".
        subjob_size: kept for callers of img2dataset; shards are handed out one by one.
        retries: further tries after a failure that may be transient.
        disable_all_reencoding: keep the bytes as they are, unchecked.
        min_image_size: px; smaller images fail.
        max_image_area: px²; larger images fail.
        max_aspect_ratio: longer to shorter side; others fail.
        incremental_mode: "incremental" makes what is missing; "extend" adds the list behind what is there; "overwrite" starts over.
        max_shard_retry: further tries of a shard that failed as a whole.
        user_agent_token: the name that robots.txt and X-Robots-Tag know this robot by.
        disallowed_header_directives: X-Robots-Tag directives that mean no; []: all are ignored. None: img2dataset's four and noml.
        ignore_ssl_certificate: accept any certificate.
        media: "image", or "any" to keep every file as it is (extension from content, content type or url).
        retry_failed: causes (`dataset_assets.records.Cause`) whose rows are fetched again in committed shards; "transient" names all that
            time may cure.
        layout: "img2dataset" writes exactly its files, columns and messages, nothing added.
        codec_threads: threads that decode and encode in each process. None: what the cores allow; 0: none besides its main thread.
        area_kernel: "numba", "opencv", or "auto" (numba when installed).
        scaled_decode: decode large JPEGs at a fraction while at least twice the target size remains: faster, 40 to 46 dB.
        max_pixels: larger images are refused before they are decoded.
        total_timeout: s for one url with its redirects, each try; None: three times `timeout`.
        max_bytes: longest body.
        max_buffered_bytes: of bodies that wait for the codec, for each process, and half of it for samples that wait for an earlier row
            of their shard (more are spilled to disk); raise it for thousands of connections.
        robots_txt: honour robots.txt.
        allow_private_networks: networks (CIDR) that may be reached besides public ones; True: any.
            None: DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS, else none.
        max_connections_per_host: for each process.
        max_requests_per_second_per_host: for each process.
        contact: a url or mail address that tells people who is asking; part of the user agent.
        request_headers: sent with every url, e.g. an authorization; never to another host after a redirect.
        request_header_hosts: the only hosts that get them.
        ca_file: certificate authorities (PEM) instead of the usual ones.

    Returns:
        The manifest of the output and what this call did.

    Raises:
        ConfigurationError, SourceError, StorageError, PlanMismatch: before the first request.
        DiskFull: committed shards stay; run again to go on.
        ShardIncomplete: some shards failed even when tried again; the others are committed.
    """
    given = dict(locals())
    options = DownloadOptions(
        image=_image_options(given) if is_image(media) else None,
        fetch=_fetch_options(given),
        output_format=output_format,
        samples_per_shard=number_sample_per_shard,
        oom_shard_count=oom_shard_count,
        compute_hash=compute_hash,
        verify_hash=None if verify_hash is None else (verify_hash[0], verify_hash[-1]),
        bbox_col=bbox_col,
        layout=layout,
        distributor=distributor,
        processes_count=processes_count,
        codec_threads=codec_threads,
        max_shard_retry=max_shard_retry,
        reorder_bytes=max_buffered_bytes // 2,
    )
    causes = parse_causes(retry_failed)
    prepare_workers(options)
    from dataset_assets.pipelines.download._run import (
        DownloadRun,
    )  # takes as long to load as what the workers load meanwhile

    run = DownloadRun(
        open_store(str(output_folder)),
        _list_options(given),
        options,
        retry_failed=causes,
        incremental_mode=incremental_mode,
        wandb_project=wandb_project if enable_wandb else None,
    )
    return run(url_list, _loggable(given))


def download_any(  # noqa: PLR0913, PLR0917 - any2dataset's arguments, in its order
    url_list: Any,
    output_folder: str = "files",
    processes_count: int = 1,
    output_format: str = "files",
    input_format: str = "txt",
    url_col: str = "url",
    caption_col: str | None = None,
    thread_count: int = 256,
    number_sample_per_shard: int = 10000,
    save_additional_columns: Sequence[str] | None = None,
    timeout: float = 10,
    enable_wandb: bool = False,
    wandb_project: str = "any2dataset",
    oom_shard_count: int = 5,
    compute_md5: bool = True,
    distributor: str = "multiprocessing",
    subjob_size: int = 1000,
    retries: int = 0,
    disable_all_reencoding: bool = False,
    *,
    file_size: int | None = None,
    **options: Any,
) -> DownloadReport:
    """Download any kind of file, kept as it is.

    `disable_all_reencoding` and `file_size` change nothing here, as in any2dataset: no file is ever re-encoded.
    Further arguments are those of `download`; see there for what is raised.
    """
    del disable_all_reencoding, file_size
    options.setdefault("compute_hash", "md5" if compute_md5 else None)
    return download(
        url_list,
        output_folder=output_folder,
        processes_count=processes_count,
        output_format=output_format,
        input_format=input_format,
        url_col=url_col,
        caption_col=caption_col,
        thread_count=thread_count,
        number_sample_per_shard=number_sample_per_shard,
        save_additional_columns=save_additional_columns,
        timeout=timeout,
        enable_wandb=enable_wandb,
        wandb_project=wandb_project,
        oom_shard_count=oom_shard_count,
        distributor=distributor,
        subjob_size=subjob_size,
        retries=retries,
        media="any",
        **options,
    )


#: May hold tokens, or be the list itself.
_NOT_LOGGED = ("url_list", "request_headers")
_IMAGE = (
    "image_size",
    "resize_mode",
    "resize_only_if_bigger",
    "upscale_interpolation",
    "downscale_interpolation",
    "encode_quality",
    "encode_format",
    "skip_reencode",
    "disable_all_reencoding",
    "min_image_size",
    "max_image_area",
    "max_aspect_ratio",
    "extract_exif",
    "max_pixels",
    "scaled_decode",
    "area_kernel",
)


def _loggable(given: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in given.items() if name not in _NOT_LOGGED}
    return {
        name: redact(value) if isinstance(value, str) else value for name, value in shown.items()
    }


def _list_options(given: Mapping[str, Any]) -> "ListOptions":
    from dataset_assets.urls.lists import ListOptions  # brings pyarrow: see `download`

    more = {
        "caption_col": given["caption_col"],
        "save_additional_columns": tuple(given["save_additional_columns"] or ()),
    }
    is_txt = (
        isinstance(given["url_list"], str | PathLike)
        and given["input_format"].partition(".")[0] == "txt"
    )
    if is_txt and given["layout"] == "img2dataset" and any(more.values()):
        logger.warning(
            "a txt list has urls only: caption_col and save_additional_columns are ignored, as img2dataset does"
        )
        more = {}
    return ListOptions(
        input_format=given["input_format"],
        url_col=given["url_col"],
        bbox_col=given["bbox_col"],
        verify_hash_col=None if given["verify_hash"] is None else given["verify_hash"][0],
        **more,
    )


def _image_options(given: Mapping[str, Any]) -> ImageOptions:
    options = {name: given[name] for name in _IMAGE}
    for name in ("upscale_interpolation", "downscale_interpolation"):
        options[name] = str(options[name]).lower()  # img2dataset does not mind capitals
    return ImageOptions(**options)


def _fetch_options(given: Mapping[str, Any]) -> FetchOptions:
    directives = given["disallowed_header_directives"]
    return FetchOptions(
        max_connections=given["thread_count"],
        timeout_s=given["timeout"],
        total_timeout_s=given["total_timeout"],
        max_bytes=given["max_bytes"],
        max_buffered_bytes=given["max_buffered_bytes"],
        retries=given["retries"],
        user_agent=user_agent(given["user_agent_token"], given["contact"]),
        user_agent_token=given["user_agent_token"],
        disallowed_directives=OPT_OUT_DIRECTIVES
        if directives is None
        else tuple(directive.strip() for directive in directives),
        robots_txt=given["robots_txt"],
        allow_private_networks=private_networks(given["allow_private_networks"]),
        max_connections_per_host=given["max_connections_per_host"],
        max_requests_per_s_per_host=given["max_requests_per_second_per_host"],
        headers=tuple((given["request_headers"] or {}).items()),
        header_hosts=tuple(given["request_header_hosts"]),
        ca_file=given["ca_file"],
        verify_tls=not given["ignore_ssl_certificate"],
    )
