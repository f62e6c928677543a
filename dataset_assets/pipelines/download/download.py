"""`download`: URL lists in, shards out, with the names, defaults and meanings of img2dataset.

The keyword-only arguments are those of this package. Only arguments are translated here; the work
is in `run`. Source: img2dataset 1.47, https://github.com/rom1504/img2dataset#api
"""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dataset_assets.checks import boolean, one_of, renamed, text, texts
from dataset_assets.fetch.options import FetchOptions, user_agent
from dataset_assets.fetch.proxies import Proxies
from dataset_assets.images.options import ImageOptions
from dataset_assets.pipelines.download._arguments import (
    accepted_formats,
    body_limits,
    directives,
    hash_to_verify,
    header_pairs,
    kept_columns,
    private_networks,
)
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.causes import parse_causes
from dataset_assets.redaction import redact
from dataset_assets.storage.store import open_store

if TYPE_CHECKING:
    from dataset_assets.pipelines.download.progress import WandbRun
    from dataset_assets.pipelines.download.run import DownloadReport
    from dataset_assets.urls.lists import ListOptions

INCREMENTAL_MODES = ("incremental", "overwrite", "extend")
_MEDIA = ("image", "any")
#: Option of the option classes -> the argument that it comes from, where they have other names.
_ARGUMENTS = {
    "max_connections": "thread_count",
    "timeout_s": "timeout",
    "total_timeout_s": "total_timeout",
    "max_requests_per_s_per_host": "max_requests_per_second_per_host",
    "disallowed_directives": "disallowed_header_directives",
    "headers": "request_headers",
    "header_hosts": "request_header_hosts",
    "samples_per_shard": "number_sample_per_shard",
    "cause": "retry_failed",
}

logger = logging.getLogger(__name__)


@renamed(_ARGUMENTS)
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
    quoting: str = "minimal",
    retry_failed: Sequence[str] = (),
    layout: str = "dataset_assets",
    store_url: str = "scrubbed",
    codec_threads: int | None = None,
    area_kernel: str = "auto",
    scaled_decode: bool = False,
    max_pixels: int = 64_000_000,
    formats: Sequence[str] | None = None,
    total_timeout: float | None = None,
    max_bytes: int | None = None,
    max_buffered_bytes: int = 64 << 20,
    robots_txt: bool = False,
    allow_private_networks: Sequence[str] | bool | None = None,
    max_connections_per_host: int | None = None,
    max_requests_per_second_per_host: float | None = None,
    contact: str | None = None,
    request_headers: Mapping[str, str] | None = None,
    request_header_hosts: Sequence[str] = (),
    ca_file: str | None = None,
    proxy: str | None = None,
) -> "DownloadReport":
    """Download the URLs of a list into shards.

    Idempotent: shards committed with the same rows and options stay as they are, so an interrupted
    download resumes when it is run again.

    Args:
        url_list: a path or URL of a file, folder or glob, on any fsspec file system; or, in memory,
            URLs, dictionaries, or a pandas or Arrow table.
        image_size: length of the side that `resize_mode` refers to, in px.
        output_folder: path or URL of the folder of the shards.
        processes_count: worker processes.
        resize_mode: "no", "keep_ratio" (shorter side = image_size), "keep_ratio_largest" (longer
            side), "center_crop", or "border" (padded with white).
        resize_only_if_bigger: leave smaller images as they are.
        upscale_interpolation: "nearest", "linear", "bilinear", "cubic", "bicubic", "area",
            "lanczos" or "lanczos4".
        downscale_interpolation: one of the same names.
        encode_quality: 1 to 100 for jpg, 1 to 100 for webp and above 100 for lossless webp; for png
            the compression level, 0 to 9.
        encode_format: "jpg", "png" or "webp".
        skip_reencode: keep the original bytes of images that need no change.
        output_format: "files", "webdataset", "parquet", "tfrecord" or "dummy".
        input_format: "txt", "csv", "tsv", "json", "jsonl", "parquet", or "auto" to go by the file
            name. Compressed lists are recognized.
        url_col: column of the URLs.
        caption_col: column of the captions. None: there are none.
        bbox_col: column of boxes to blur, lists of [left, top, right, bottom] as fractions of width
            and height. None: nothing is blurred.
        thread_count: connections of each process; there are no threads behind them.
        number_sample_per_shard: rows of a shard, failed ones included. A worker process has up to
            20,000 rows in open shards, and at least two shards: after a crash they are fetched
            again.
        extract_exif: store EXIF tags as JSON.
        save_additional_columns: columns of the list to keep.
        timeout: seconds to connect, to the first byte, and between two bytes: each.
        enable_wandb: log to Weights & Biases; needs the extra `wandb`.
        wandb_project: project of Weights & Biases.
        oom_shard_count: digits of a shard's name.
        compute_hash: hash of the original bytes to store: "md5", "sha256", "sha512". None: no hash.
        verify_hash: [column, type]: rows whose bytes have another hash than the column says fail.
        distributor: "multiprocessing", or "serial" to stay in this process.
        subjob_size: accepted for callers of img2dataset, and not used.
        retries: attempts after the first for failures that may be transient.
        disable_all_reencoding: keep all bytes as they are, without checking that they are images.
        min_image_size: images with a shorter side than this fail, in px.
        max_image_area: images with more pixels than this fail.
        max_aspect_ratio: images whose longer side is more than this many times the shorter side
            fail.
        incremental_mode: "incremental" makes the missing shards, "extend" adds the list behind the
            shards that exist and resumes when it was interrupted, "overwrite" deletes them and
            starts over.
        max_shard_retry: attempts after the first for a shard that failed as a whole.
        user_agent_token: the name of this robot in robots.txt and X-Robots-Tag.
        disallowed_header_directives: directives of X-Robots-Tag that forbid the use of a file. An
            empty list: the header is ignored. None: the four of img2dataset, and noml.
        ignore_ssl_certificate: accept any certificate.
        media: "image", or "any" to keep files of any kind as they are, empty ones too; their
            extension comes from their content, the content type or the URL.
        quoting: quotes in csv and tsv lists. "minimal": a value in double quotes may hold
            delimiters and line breaks, in tsv too, as in img2dataset. "none": quotes are characters
            like any other, and a line is a row.
        retry_failed: causes (`dataset_assets.records.causes.Cause`) whose rows are fetched again in
            committed shards; "transient" stands for all causes that may go away.
        layout: "img2dataset" writes exactly its files and columns, and its message for what cannot
            be decoded; "dataset_assets" adds a manifest and columns.
        store_url: "scrubbed": the stored `url` and `final_url` have no user, password or known
            signature parameter, such as `X-Amz-Signature`; "full": they are stored as in the list,
            and `publish` refuses those that have such parts.
        codec_threads: threads of each process that decode and encode. 0: its main thread. None: the
            cores divided by the processes.
        area_kernel: implementation of the area filter: "numba", "opencv", or "auto" for numba where
            it is installed.
        scaled_decode: decode large JPEGs at a fraction of their size while at least twice the
            target size remains: faster, at 40 to 46 dB.
        max_pixels: larger images fail before they are decoded.
        formats: formats of images to accept, by their content: "jpeg", "png", "webp", "gif", "bmp",
            "tiff", "avif", "jp2" (JPEG 2000), "ppm" (with pgm and pbm) or "ras". None: all.
        total_timeout: seconds for one attempt with its redirects. None: three times `timeout`; with
            media="any" as long as 16 KiB/s come.
        max_bytes: longest body, in bytes; longer ones fail. None: 64 MiB; with media="any" 2 GiB,
            the longest value that all output formats hold.
        max_buffered_bytes: bytes of bodies that wait for the codec in each process. Samples that
            wait for an earlier row of their shard may take half of it; more are spilled to disk,
            beside a local output, else in the system's folder for temporary files.
            Raise it for thousands of connections.
        robots_txt: obey robots.txt.
        allow_private_networks: networks (CIDR) that may be reached besides public ones; True: all.
            None: those in the variable DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS.
        max_connections_per_host: limit of each process. None: no limit but `thread_count`.
        max_requests_per_second_per_host: limit of each process. None: no limit.
        contact: a URL or mail address of whoever runs the download; part of the user agent.
        request_headers: sent with every URL, such as an authorization; never to another host after
            a redirect.
        request_header_hosts: the only hosts that get `request_headers`. Empty: all hosts of URLs.
        ca_file: certificate authorities (PEM) instead of the system's.
        proxy: URL of a proxy for all requests, such as `http://host:port`; also https, socks4 and
            socks5. "": none. None: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` of the
            environment. A proxy looks names up itself: instead of addresses, names without a dot,
            of this machine and of local networks (`.internal`, `.local`) are refused, unless all
            private networks are allowed.

    Returns:
        The manifest of the whole output, and what this call did.

    Raises:
        ConfigurationError, SourceError, StorageError, PlanMismatch: before the first request.
        DiskFull: committed shards are kept; free some space and run again to resume.
        ShardIncomplete: some shards failed even when tried again; the others are committed.
        SetInUse: another run is at work in the folder.
        ForeignFiles: the folder has files of another tool under names that this run would write.

    Example:
        >>> from dataset_assets import download
        >>> report = download(
        ...     "urls.parquet",
        ...     input_format="parquet",
        ...     caption_col="caption",
        ...     output_folder="photos",
        ...     output_format="webdataset",
        ... )
        >>> report.rows
        120
    """
    del subjob_size
    one_of("media", media, _MEDIA)
    text("input_format", input_format)
    boolean("enable_wandb", enable_wandb)
    boolean("ignore_ssl_certificate", ignore_ssl_certificate)
    one_of("incremental_mode", incremental_mode, INCREMENTAL_MODES)
    accepted = accepted_formats(formats, media)
    # Several arguments a line: each is only passed on.
    # fmt: off
    image = None if media == "any" else ImageOptions(
        image_size=image_size, resize_mode=resize_mode, scaled_decode=scaled_decode,
        resize_only_if_bigger=resize_only_if_bigger, area_kernel=area_kernel,
        # img2dataset accepts capitals too.
        upscale_interpolation=str(upscale_interpolation).lower(),
        downscale_interpolation=str(downscale_interpolation).lower(),
        encode_format=encode_format, encode_quality=encode_quality,
        skip_reencode=skip_reencode, disable_all_reencoding=disable_all_reencoding,
        min_image_size=min_image_size, max_image_area=max_image_area,
        max_aspect_ratio=max_aspect_ratio, max_pixels=max_pixels, extract_exif=extract_exif,
        formats=accepted,
    )
    fetch = FetchOptions(
        max_connections=thread_count, max_connections_per_host=max_connections_per_host,
        max_requests_per_s_per_host=max_requests_per_second_per_host, retries=retries,
        timeout_s=timeout, max_buffered_bytes=max_buffered_bytes,
        **body_limits(media, total_timeout, max_bytes),
        user_agent=user_agent(user_agent_token, contact), user_agent_token=user_agent_token,
        disallowed_directives=directives(disallowed_header_directives), robots_txt=robots_txt,
        allow_private_networks=private_networks(allow_private_networks),
        headers=header_pairs(request_headers),
        header_hosts=texts("request_header_hosts", request_header_hosts),
        ca_file=ca_file, verify_tls=not ignore_ssl_certificate, proxy=proxy,
    )
    options = DownloadOptions(
        image=image, fetch=fetch, layout=layout, store_url=store_url, output_format=output_format,
        samples_per_shard=number_sample_per_shard, oom_shard_count=oom_shard_count,
        compute_hash=compute_hash, bbox_col=bbox_col,
        verify_hash=hash_to_verify(verify_hash),
        distributor=distributor, processes_count=processes_count, codec_threads=codec_threads,
        max_shard_retry=max_shard_retry, reorder_bytes=max_buffered_bytes // 2,
    )
    # fmt: on
    causes = parse_causes(retry_failed)
    Proxies(proxy)  # refuses what the environment has before the lists are read
    options.new_distributor()
    # What follows takes as long to import as the workers take to start, which they do meanwhile.
    from dataset_assets.pipelines.download.run import run_download

    columns = caption_col, kept_columns(save_additional_columns)
    lists = _list_options(url_list, (input_format, quoting), url_col, columns, options)
    return run_download(
        url_list,
        open_store(str(output_folder)),
        lists,
        options,
        incremental_mode=incremental_mode,
        retry_failed=causes,
        wandb=_wandb_run(wandb_project, output_folder, lists, options) if enable_wandb else None,
    )


def _list_options(
    url_list: Any,
    syntax: tuple[str, str],
    url_col: str,
    columns: tuple[str | None, tuple[str, ...]],
    options: DownloadOptions,
) -> "ListOptions":
    """Return how the lists are read.

    Args:
        url_list: the argument of `download`.
        syntax: format and quoting of the lists.
        url_col: column of the URLs.
        columns: the caption column and those to keep.
        options: the options of the download.
    """
    from dataset_assets.urls.lists import ListOptions

    input_format, quoting = syntax
    is_txt = isinstance(url_list, str | os.PathLike) and input_format.partition(".")[0] == "txt"
    if is_txt and options.is_img2dataset and any(columns):
        logger.warning(
            "a txt list has URLs only: caption_col and save_additional_columns are ignored, as in "
            "img2dataset"
        )
        columns = None, ()
    return ListOptions(
        input_format=input_format,
        quoting=quoting,
        url_col=url_col,
        caption_col=columns[0],
        save_additional_columns=columns[1],
        bbox_col=options.bbox_col,
        verify_hash_col=None if options.verify_hash is None else options.verify_hash[0],
    )


#: Parts that are logged field by field, and fields that may hold tokens.
_NOT_LOGGED = {"image", "fetch", "headers", "proxy"}


def _wandb_run(
    project: str, output_folder: str, lists: "ListOptions", options: DownloadOptions
) -> "WandbRun":
    """Return what is logged to Weights & Biases: all options but those that may hold secrets."""
    from dataset_assets.pipelines.download.progress import WandbRun

    values = {
        "output_folder": str(output_folder),
        "wandb_project": project,
        **asdict(lists),
        **asdict(options),
        **asdict(options.fetch),
        **(asdict(options.image) if options.image is not None else {}),
    }
    config = {
        _ARGUMENTS.get(name, name): redact(value) if isinstance(value, str) else value
        for name, value in values.items()
        if name not in _NOT_LOGGED
    }
    return WandbRun(project, config)
