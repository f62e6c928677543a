"""Url lists, archives and published datasets as one asset graph, on a plain library.

The map, by floors:

    6 definitions, cli
    5 orchestration   the only folder that imports Dagster; `catalog/<dataset>/defs.yaml` is a dataset
      demo            the photo server behind `make demo`
    4 pipelines       one public function per asset: composes the folders below
    2 urls            url lists in              file = input_format
      fetch           one url -> bytes or a reason
      images          bytes -> bytes, pixels and metadata
      shards          samples <-> shard files   file = output_format
      distribute      one function, many shards file = distributor
    1 storage         where bytes live          file = url scheme
    0 records, errors, registry

Importing this package loads none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataset_assets.pipelines.download import DownloadReport, download, download_any

__all__ = ["DownloadReport", "download", "download_any"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("dataset_assets.pipelines.download"), name)
    if name == "Dataset":  # `type: dataset_assets.Dataset` of a defs.yaml; needs the extra `dagster`
        return import_module("dataset_assets.orchestration.components").Dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "Dataset"])
