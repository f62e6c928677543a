"""Url lists, archives and published datasets as one asset graph, on a plain library.

The map, by floors:

    6 definitions, cli
    5 orchestration   the only folder that imports Dagster; `catalog/<dataset>/defs.yaml` is a dataset
      demo            the photo server behind `make demo`
    4 pipelines       one public function per asset: composes the folders below
    3 loaders         batches out
    2 urls            url lists in              file = input_format
      fetch           one url -> bytes or a reason
      images          bytes -> bytes, pixels and metadata
      shards          samples <-> shard files   file = output_format
      distribute      one function, many shards file = distributor
    1 storage         where bytes live          file = url scheme
    0 records, split_records, errors, registry

Importing this package loads none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataset_assets.hub.loading import load_published, video_dataset
    from dataset_assets.loaders.mlx_stream import hf_dataset_to_mlx_stream, shards_to_mlx_stream
    from dataset_assets.pipelines.download import DownloadReport, download, download_any

#: name -> the module that has it
_HOMES = {
    "DownloadReport": "pipelines.download",
    "download": "pipelines.download",
    "download_any": "pipelines.download",
    "load_published": "hub.loading",
    "video_dataset": "hub.loading",
    "hf_dataset_to_mlx_stream": "loaders.mlx_stream",
    "shards_to_mlx_stream": "loaders.mlx_stream",
    "Dataset": "orchestration.components",  # `type: dataset_assets.Dataset` of a defs.yaml; needs the extra `dagster`
}
__all__ = [
    "DownloadReport",
    "download",
    "download_any",
    "hf_dataset_to_mlx_stream",
    "load_published",
    "shards_to_mlx_stream",
    "video_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
