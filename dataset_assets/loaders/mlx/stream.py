"""Batches for MLX: a `datasets.Dataset`, a shard set or a split as a stream of mlx-data.

`hf_dataset_to_mlx_stream(ds["train"], shuffle=True)` is called, reset and iterated like the function of that name in the tutorial
https://github.com/ml-explore/mlx-data/blob/main/docs/src/hf_datasets_streams.rst; its batches have the same keys, shapes, types and values. But
images are decoded when they are needed and not kept, batches come in order and only the last of an epoch is short, every epoch has another order, and
an image that can not be decoded is left out and counted.
"""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from dataset_assets.errors import MissingDependency
from dataset_assets.loaders.mlx.batches import Batch, Epochs
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.mlx.rows import Source, open_rows
from dataset_assets.loaders.mlx.tar_rows import open_tars
from dataset_assets.storage.store import Store, open_store

__all__ = ["MlxStream", "StreamOptions", "hf_dataset_to_mlx_stream", "shards_to_mlx_stream"]


def hf_dataset_to_mlx_stream(dataset: Any, shuffle: bool = False, **options: Any) -> "MlxStream":
    """Return the batches of a dataset: `image` (B, H, W) or (B, H, W, 3), float32 in [0, 1]; and `label` where there are labels.

    Args:
        dataset: a `datasets.Dataset`, a `datasets.IterableDataset` (shuffled as `datasets` does, by a buffer), or a list of dictionaries.
        shuffle: another order in every epoch, decided by seed and epoch.
        options: fields of `StreamOptions`: batch_size, seed, epoch, dtype, scale, image_key, label_key, mode, image_size, prefetch, threads.

    Raises:
        ConfigurationError: the dataset or an option can not work. `MissingColumn`: no such column. `MissingDependency`: no mlx-data.
    """
    chosen = StreamOptions(**options)
    return MlxStream(open_rows(dataset, chosen), chosen, shuffle=shuffle)


def shards_to_mlx_stream(
    store: Store | str, split: str | None = None, shuffle: bool = False, **options: Any
) -> "MlxStream":
    """Return the batches of a shard set of the format webdataset, or of one split of a folder of splits; see `hf_dataset_to_mlx_stream`.

    Every image is one range read, so an epoch in any order needs no shuffle buffer. `label_key` is a column of the metadata, "caption" for example.

    Raises:
        ObjectMissing: neither is there.
        ShardCorrupt: files are not what their record says.
        ConfigurationError: as above, or the samples can not be read one by one.
    """
    chosen = StreamOptions(**options)
    opened = open_store(store) if isinstance(store, str) else store
    return MlxStream(open_tars(opened, split, chosen), chosen, shuffle=shuffle)


class MlxStream:
    """A stream of mlx-data that knows its epoch and what it left out.

    Iterating gives the rest of the epoch, then nothing until `reset`. Every other attribute is that of the `mlx.data.Stream`, `stream`:
    `key_transform`, `partition` and so on return plain streams, whose `reset` starts the next epoch as well.

    A tar that is gone is an exception; behind a further `prefetch` of mlx-data, which this stream does not need, any exception ends the process.
    """

    def __init__(self, source: Source, options: StreamOptions, *, shuffle: bool) -> None:
        self._epochs = Epochs(source, options, shuffle=shuffle)
        self.stream = _mlx_data().stream_python_iterable(self._epochs)

    @property
    def epoch(self) -> int:
        """The epoch that batches are of."""
        return self._epochs.epoch

    @property
    def skipped(self) -> int:
        """Samples left out so far, in all epochs: their images can not be decoded."""
        return self._epochs.skipped

    def reset(self, epoch: int | None = None) -> None:
        """Go to the start of the next epoch, of the same one when nothing was taken from it, or of the one that is given."""
        if epoch is not None:
            self._epochs.choose(epoch)
        self.stream.reset()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch: Batch = next(self.stream)
        return batch

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "stream":
            raise AttributeError(name)
        return getattr(self.stream, name)


def _mlx_data() -> ModuleType:
    try:
        return import_module("mlx.data")
    except ImportError as exc:
        raise MissingDependency(
            "a stream needs mlx-data, which is not installed: pip install 'dataset-assets[mlx]'"
        ) from exc
