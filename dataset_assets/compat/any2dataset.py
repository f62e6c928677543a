"""`download` as any2dataset has it: `from dataset_assets.compat.any2dataset import download`.

Source: any2dataset 1.0.1, https://github.com/rom1504/any2dataset
"""

from collections.abc import Sequence
from typing import Any

from dataset_assets.checks import boolean
from dataset_assets.pipelines.download import download as library
from dataset_assets.pipelines.download.run import DownloadReport


def download(  # noqa: PLR0913, PLR0917 - any2dataset's arguments, in its order
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
    """Download files of any kind, stored as they are.

    `dataset_assets` exports this function as `download_any`.

    Args:
        url_list: a path or URL of a file, folder or glob, on any fsspec file system; or, in memory,
            URLs, dictionaries, or a pandas or Arrow table.
        output_folder: path or URL of the folder of the shards.
        processes_count: worker processes.
        output_format: "files", "webdataset", "parquet", "tfrecord" or "dummy".
        input_format: "txt", "csv", "tsv", "json", "jsonl", "parquet", or "auto" to go by the file
            name.
        url_col: column of the URLs.
        caption_col: column of the captions. None: there are none.
        thread_count: connections of each process.
        number_sample_per_shard: rows of a shard, failed ones included.
        save_additional_columns: columns of the list to keep.
        timeout: seconds to connect, to the first byte, and between two bytes: each.
        enable_wandb: log to Weights & Biases; needs the extra `wandb`.
        wandb_project: project of Weights & Biases.
        oom_shard_count: digits of a shard's name.
        compute_md5: store the MD5 of each file.
        distributor: "multiprocessing", or "serial" to stay in this process.
        subjob_size: accepted, and not used.
        retries: attempts after the first for failures that may be transient.
        disable_all_reencoding: accepted, and not used: no file is ever re-encoded.
        file_size: accepted, and not used.
        options: further arguments of `dataset_assets.download`, by name.

    Returns:
        The manifest of the whole output, and what this call did.

    Raises:
        DatasetAssetsError: what `dataset_assets.download` raises.

    Example:
        >>> from dataset_assets import download_any
        >>> report = download_any("urls.parquet", "files", input_format="parquet")
        >>> report.rows
        120
    """
    boolean("compute_md5", compute_md5)
    del disable_all_reencoding, file_size
    options.setdefault("compute_hash", "md5" if compute_md5 else None)
    return library.download(
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


#: The name under which `dataset_assets` exports it.
download_any = download
