"""`download`: url lists in, shards out, with the arguments of img2dataset; `download_any` has those of any2dataset.

Both plan, make the shards that are missing, and say what became of every row. Arguments mean what they mean there; those after
`disallowed_header_directives` are ours. Source: img2dataset 1.47 and any2dataset 1.0.1.
"""

import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from dataset_assets.errors import ConfigurationError, ListChanged, PlanMismatch, ShardIncomplete
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import ImageOptions
from dataset_assets.pipelines.download_shards import download_shards
from dataset_assets.pipelines.options import DownloadOptions
from dataset_assets.pipelines.plan_urls import plan_urls
from dataset_assets.pipelines.progress import reporters
from dataset_assets.records import Cause, Manifest, Plan, ShardProgress, ShardResult, ShardTask
from dataset_assets.shards._records import list_records
from dataset_assets.storage._base import Store, open_store
from dataset_assets.urls._base import ListOptions

logger = logging.getLogger("dataset_assets")

INCREMENTAL_MODES = ("incremental", "overwrite", "extend")
_PLAN = "_plan"
_OURS = re.compile(r"(\d+(_stats\.json|\.tar|\.parquet|\.tfrecord)|\d+/.*|\.?manifest\.json|_plan/.*|contact_sheet\.\w+)")


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What a download left behind."""

    manifest: Manifest  # the whole output, earlier runs included
    made: int  # shards committed by this call
    skipped: int  # shards that were committed before
    requests: int  # made by this call

    @property
    def rows(self) -> int:
        """Input rows of the whole output."""
        return self.manifest.rows

    @property
    def successes(self) -> int:
        """Rows with a sample."""
        return self.manifest.successes

    @property
    def causes(self) -> dict[str, int]:
        """Failed rows by cause."""
        return self.manifest.causes


def download(  # noqa: PLR0913 - img2dataset's arguments, in its order
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
    robots_txt: bool = False,
    allow_private_networks: Sequence[str] | bool | None = None,
    max_connections_per_host: int | None = None,
    max_requests_per_second_per_host: float | None = None,
    request_headers: Mapping[str, Mapping[str, str]] | None = None,
    ca_file: str | None = None,
) -> DownloadReport:
    """Download a list of urls into shards.

    Args:
        url_list: a file, folder or glob on any fsspec url; or, in memory, urls, dicts, a pandas or Arrow table.
        thread_count: connections of each process; there are no threads behind them.
        timeout: s to connect, to the first byte, and without any byte; see `total_timeout`.
        subjob_size: kept for callers of img2dataset; shards are handed out one by one.
        media: "image", or "any" to keep every file as it is (extension from content, content type or url).
        retry_failed: causes (see `dataset_assets.records.Cause`) whose rows are fetched again in committed shards; "transient" names
            all that may be cured by time.
        layout: "img2dataset" writes exactly its files and columns, nothing added.
        codec_threads: threads that decode and encode in each process. None: what the cores allow; 0: none besides its main thread.
        area_kernel: "numba", "opencv", or "auto" (numba when installed).
        scaled_decode: decode large JPEGs at a fraction while at least twice the target size remains: faster, about 46 dB.
        max_pixels: larger images are refused before they are decoded.
        total_timeout: s for one url with its redirects, each try; None: three times `timeout`.
        max_bytes: longest body.
        allow_private_networks: networks (CIDR) that may be reached besides public ones; True: any.
            None: DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS, else none.
        request_headers: host name -> headers sent to that host only, e.g. an authorization.
        ca_file: certificate authorities (PEM) instead of the usual ones.

    Returns:
        The manifest of the output and what this call did.

    Raises:
        ConfigurationError, SourceError, StorageError, PlanMismatch: before the first request.
        DiskFull: committed shards stay; run again to go on.
        ShardIncomplete: some shards failed even when tried again; the others are committed.
    """
    config = dict(locals())
    image = ImageOptions(
        image_size=image_size,
        resize_mode=resize_mode,
        resize_only_if_bigger=resize_only_if_bigger,
        upscale_interpolation=upscale_interpolation,
        downscale_interpolation=downscale_interpolation,
        encode_quality=encode_quality,
        encode_format=encode_format,
        skip_reencode=skip_reencode,
        disable_all_reencoding=disable_all_reencoding,
        min_image_size=min_image_size,
        max_image_area=max_image_area,
        max_aspect_ratio=max_aspect_ratio,
        extract_exif=extract_exif,
        max_pixels=max_pixels,
        scaled_decode=scaled_decode,
        area_kernel=area_kernel,
    )
    fetch = FetchOptions(
        max_connections=thread_count,
        timeout_s=timeout,
        total_timeout_s=total_timeout,
        max_bytes=max_bytes,
        retries=retries,
        user_agent_token=user_agent_token,
        robots_txt=robots_txt,
        allow_private_networks=private_networks(allow_private_networks),
        max_connections_per_host=max_connections_per_host,
        max_requests_per_s_per_host=max_requests_per_second_per_host,
        ca_file=ca_file,
        verify_tls=not ignore_ssl_certificate,
        **_given(disallowed_directives=_tuple(disallowed_header_directives), host_headers=_host_headers(request_headers)),
    )
    options = DownloadOptions(
        image=image if _is_image(media) else None,
        fetch=fetch,
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
    )
    lists = ListOptions(
        input_format=input_format,
        url_col=url_col,
        caption_col=caption_col,
        bbox_col=bbox_col,
        save_additional_columns=tuple(save_additional_columns or ()),
        verify_hash_col=None if verify_hash is None else verify_hash[0],
    )
    causes = _causes(retry_failed)
    if causes and layout == "img2dataset":
        raise ConfigurationError("retry_failed needs the column `cause`, which layout 'img2dataset' does not have; use layout 'dataset_assets'")
    run = _Download(open_store(str(output_folder)), lists, options, causes)
    config["url_list"] = url_list if isinstance(url_list, str) else type(url_list).__name__
    config.pop("request_headers")  # may hold a token
    return run(url_list, _one_of_modes(incremental_mode), wandb_project if enable_wandb else None, config)


def download_any(  # noqa: PLR0913 - any2dataset's arguments, in its order
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


class _Download:
    """One call: plan, make, report."""

    def __init__(self, store: Store, lists: ListOptions, options: DownloadOptions, retry_failed: frozenset[Cause]) -> None:
        self._store, self._lists, self._options, self._retry_failed = store, lists, options, retry_failed

    def __call__(self, source: Any, mode: str, wandb_project: str | None, config: Mapping[str, Any]) -> DownloadReport:
        self._store.check_writable()
        if mode == "overwrite":
            delete_shard_set(self._store)
        plan = self._plan(source, first_shard=self._next_shard() if mode == "extend" else 0)
        tasks = [
            ShardTask(shard, self._store.url)
            for part in plan.parts
            for shard in range(part.first_shard, part.first_shard + part.shard_count)
        ]
        try:
            results = self._make(tasks, plan, wandb_project, config)
        except PlanMismatch:
            self._store.delete_tree(_PLAN)  # of the list that does not belong here
            raise
        failed = [result for result in results if result.error is not None]
        if failed:
            raise ShardIncomplete(
                f"{len(failed)} of {len(tasks)} shards failed, the first with: {failed[0].error}. The others are committed; run again to go on"
            )
        self._store.delete_tree(_PLAN)
        self._store.sweep(older_than_s=24 * 3600)
        made = [result.record for result in results if result.record is not None and not result.skipped]
        manifest = Manifest(tuple(list_records(self._store)), self._options.fingerprint, self._options.output_format)
        return DownloadReport(manifest, len(made), len(results) - len(made), sum(record.requests for record in made))

    def _make(self, tasks: list[ShardTask], plan: Plan, wandb_project: str | None, config: Mapping[str, Any]) -> list[ShardResult]:
        results = []
        with ExitStack() as stack:
            shown = [stack.enter_context(each) for each in reporters(plan.rows, wandb_project=wandb_project, config=config)]

            def progress(event: ShardProgress) -> None:
                for each in shown:
                    each.progress(event)

            plan_store = self._store.child(_PLAN)
            for result in download_shards(plan_store, tasks, self._options, retry_failed=self._retry_failed, report=progress):
                results.append(result)
                for each in shown:
                    each.result(result)
        return results

    def _plan(self, source: Any, *, first_shard: int) -> Plan:
        """Plan the list; what an interrupted call left of a plan is used when it is of the same list."""
        store, samples = self._store.child(_PLAN), self._options.samples_per_shard
        try:
            plan = plan_urls(source, store, self._lists, samples_per_shard=samples, first_shard=first_shard)
        except (ListChanged, ConfigurationError):
            self._store.delete_tree(_PLAN)
            return plan_urls(source, store, self._lists, samples_per_shard=samples, first_shard=first_shard)
        return plan

    def _next_shard(self) -> int:
        self._store.delete_tree(_PLAN)
        return max((record.shard_id for record in list_records(self._store)), default=-1) + 1


def delete_shard_set(store: Store) -> None:
    """Delete the files of a shard set, and nothing else that may lie in the same folder."""
    for info in list(store.list()):
        if _OURS.fullmatch(info.key):
            store.delete(info.key)


def private_networks(given: Sequence[str] | bool | None) -> tuple[str, ...]:
    """Return the networks that may be reached besides public ones.

    The one setting of the library that an environment variable can make, because tests and closed networks need it in programs they do not own.
    """
    if given is None:
        text = os.environ.get("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS", "")
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(given, bool):
        return ("all",) if given else ()
    return (given,) if isinstance(given, str) else tuple(given)


def _causes(names: Sequence[str]) -> frozenset[Cause]:
    chosen: set[Cause] = set()
    for name in [names] if isinstance(names, str) else names:
        if name == "transient":
            chosen.update(cause for cause in Cause if cause.is_transient)
        elif name in list(Cause):
            chosen.add(Cause(name))
        else:
            raise ConfigurationError(f"retry_failed: expected 'transient' or causes out of {', '.join(Cause)}; came {name!r}")
    return frozenset(chosen)


def _is_image(media: str) -> bool:
    if media not in ("image", "any"):
        raise ConfigurationError(f"media: expected 'image' or 'any', came {media!r}")
    return media == "image"


def _one_of_modes(mode: str) -> str:
    if mode not in INCREMENTAL_MODES:
        raise ConfigurationError(f"incremental_mode: expected one of {', '.join(INCREMENTAL_MODES)}, came {mode!r}")
    return mode


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _host_headers(headers: Mapping[str, Mapping[str, str]] | None) -> tuple[tuple[str, str, str], ...] | None:
    return None if headers is None else tuple((host, name, value) for host, pairs in headers.items() for name, value in pairs.items())


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
