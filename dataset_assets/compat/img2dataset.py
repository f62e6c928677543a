"""`download` as img2dataset has it: `from dataset_assets.compat.img2dataset import download`.

Writes exactly the files and columns of img2dataset; its own tests of `download` pass, but for the
distributors that are not here (`benchmarks/img2dataset_suite.py`). Source: img2dataset 1.47,
https://github.com/rom1504/img2dataset#api
"""

from typing import Any

from dataset_assets.pipelines.download import download as library
from dataset_assets.pipelines.download.run import DownloadReport


def download(
    url_list: Any, *args: Any, layout: str = "img2dataset", **options: Any
) -> DownloadReport:
    """Download a list of image URLs in the layout of img2dataset.

    Args:
        url_list: what `dataset_assets.download` takes.
        args: further arguments of img2dataset, in its order.
        layout: "img2dataset"; "dataset_assets" adds a manifest and columns.
        options: arguments of `dataset_assets.download`, by name.

    Returns:
        The manifest of the whole output, and what this call did.

    Raises:
        DatasetAssetsError: what `dataset_assets.download` raises.

    Example:
        >>> from dataset_assets.compat.img2dataset import download
        >>> report = download(
        ...     "urls.parquet", input_format="parquet", output_folder="images", thread_count=64
        ... )
        >>> report.rows
        120
    """
    return library.download(url_list, *args, layout=layout, **options)
