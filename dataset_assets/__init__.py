"""Prepare datasets: download, stage, split, verify, publish, and train from the result.

The map, by floors; an import runs down or stays, never up:

    9 definitions     what Dagster opens
      cli             the command line                     file in commands/ = command
    8 demo            the photo server and the run behind `make demo`
    7 orchestration   the only folder that imports Dagster folder in stages/ = stage of the graph
      compat          called like img2dataset, any2dataset, torchdatasetutil, pymlutil
    6 pipelines       one public function per asset: download, stage, split, embed, publish
    5 loaders         batches out, for torch and MLX
    4 training        samples for training: captions, buckets   file in layouts/ = layout
      embeddings      samples -> vectors and latents       file in encoders/ = encoder
    3 urls            URL lists in                         file in formats/ = input_format
      fetch           one URL -> bytes or a reason
      shards          samples <-> shard files              file in formats/ = output_format
      splits          who goes where                       file in sources/ = source of a split
      staging         a published dataset -> shards        folder in sources/ = source
      hub             publish and load                     file in targets/ = target
      distribute      one function, many shards            file = distributor
    2 images          bytes -> bytes, pixels, metadata
      archives        the one place that reads and writes tar, zip and gzip
      storage         where bytes live                     file in stores/ = URL scheme
    1 records         what travels between folders
      errors, checks, json_stream, option_docs, processes, redaction, registry

Importing this package loads none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dataset_assets.errors import MissingDependency

if TYPE_CHECKING:
    from dataset_assets.compat.any2dataset import download as download_any
    from dataset_assets.compat.pymlutil.buckets import Connect, s3store
    from dataset_assets.compat.torchdatasetutil.cityscapes import CreateCityscapesLoaders
    from dataset_assets.compat.torchdatasetutil.coco import CreateCocoLoaders
    from dataset_assets.compat.torchdatasetutil.image_pairs import CreateImageLoaders
    from dataset_assets.compat.torchdatasetutil.imagenet import CreateImagenetLoaders
    from dataset_assets.embeddings.near_duplicates import near_duplicates
    from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
    from dataset_assets.hub.loading import load_published, video_dataset
    from dataset_assets.loaders.mlx.stream import hf_dataset_to_mlx_stream, shards_to_mlx_stream
    from dataset_assets.loaders.torch.loader import (
        LoaderOptions,
        ShardLoader,
        ShardRows,
        StagedRows,
    )
    from dataset_assets.loaders.torch.training import training_loader
    from dataset_assets.pipelines.download.download import download
    from dataset_assets.pipelines.download.run import DownloadReport
    from dataset_assets.pipelines.embed.embed import embed
    from dataset_assets.pipelines.publish.publish import publish
    from dataset_assets.pipelines.split.split import split
    from dataset_assets.pipelines.stage.stage import stage
    from dataset_assets.pipelines.training_set.training_set import training_set
    from dataset_assets.pipelines.verify.verify import verify
    from dataset_assets.training.captions import CaptionOptions
    from dataset_assets.training.layout import SourceOptions
    from dataset_assets.training.open_training_set import open_training_set
    from dataset_assets.training.options import SampleOptions
    from dataset_assets.training.source import open_training_source
    from dataset_assets.training.validation import open_validation_set

#: name -> the module that has it
_HOMES = {
    "DownloadReport": "pipelines.download.run",
    "download": "pipelines.download.download",
    "download_any": "compat.any2dataset",
    "load_published": "hub.loading",
    "video_dataset": "hub.loading",
    "hf_dataset_to_mlx_stream": "loaders.mlx.stream",
    "shards_to_mlx_stream": "loaders.mlx.stream",
    "EmbeddingSet": "embeddings.store.embedding_set",
    "embed": "pipelines.embed.embed",
    "near_duplicates": "embeddings.near_duplicates",
    "publish": "pipelines.publish.publish",
    "split": "pipelines.split.split",
    "stage": "pipelines.stage.stage",
    "verify": "pipelines.verify.verify",
    "training_set": "pipelines.training_set.training_set",
    "CaptionOptions": "training.captions",
    "SampleOptions": "training.options",
    "SourceOptions": "training.layout",
    "open_training_set": "training.open_training_set",
    "open_training_source": "training.source",
    "open_validation_set": "training.validation",
    "LoaderOptions": "loaders.torch.loader",
    "ShardLoader": "loaders.torch.loader",
    "ShardRows": "loaders.torch.loader",
    "StagedRows": "loaders.torch.loader",
    "training_loader": "loaders.torch.training",
    "CreateCocoLoaders": "compat.torchdatasetutil.coco",
    "CreateCityscapesLoaders": "compat.torchdatasetutil.cityscapes",
    "CreateImagenetLoaders": "compat.torchdatasetutil.imagenet",
    "CreateImageLoaders": "compat.torchdatasetutil.image_pairs",
    "Connect": "compat.pymlutil.buckets",
    "s3store": "compat.pymlutil.buckets",
    # `type: dataset_assets.Dataset` of a defs.yaml; needs the extra `dagster`
    "Dataset": "orchestration.components",
}
__all__ = [
    "CaptionOptions",
    "Connect",
    "CreateCityscapesLoaders",
    "CreateCocoLoaders",
    "CreateImageLoaders",
    "CreateImagenetLoaders",
    "DownloadReport",
    "EmbeddingSet",
    "LoaderOptions",
    "SampleOptions",
    "ShardLoader",
    "ShardRows",
    "SourceOptions",
    "StagedRows",
    "download",
    "download_any",
    "embed",
    "hf_dataset_to_mlx_stream",
    "load_published",
    "near_duplicates",
    "open_training_set",
    "open_training_source",
    "open_validation_set",
    "publish",
    "s3store",
    "shards_to_mlx_stream",
    "split",
    "stage",
    "training_loader",
    "training_set",
    "verify",
    "video_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as exc:
        if exc.name != "torch":
            raise
        raise MissingDependency(f"{name} needs torch: pip install 'dataset-assets[torch]'") from exc


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
