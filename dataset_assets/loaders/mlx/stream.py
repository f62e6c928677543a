"""Batches for MLX: a `datasets.Dataset`, a shard set or a split as a stream of mlx-data.

`hf_dataset_to_mlx_stream(ds["train"], shuffle=True)` has the name, the arguments and the batches of
the function in the tutorial of mlx-data,
https://github.com/ml-explore/mlx-data/blob/main/docs/src/hf_datasets_streams.rst. Differences:
images are decoded when they are needed and not kept, batches are in order and only the last one of
an epoch is short, every epoch has another order, and images that cannot be decoded are skipped and
counted.
"""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from dataset_assets.errors import MissingDependency
from dataset_assets.loaders.mlx.batches import Batch, BatchMaker
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.mlx.sources import StreamSource, open_dataset
from dataset_assets.loaders.mlx.tars import open_tars
from dataset_assets.storage.store import Store, open_store

__all__ = ["MlxStream", "StreamOptions", "hf_dataset_to_mlx_stream", "shards_to_mlx_stream"]


def hf_dataset_to_mlx_stream(dataset: Any, shuffle: bool = False, **options: Any) -> "MlxStream":
    """Return the batches of a dataset of Hugging Face.

    Args:
        dataset: a `datasets.Dataset`, a `datasets.IterableDataset` (shuffled by a buffer, as
            `datasets` does), or a list of dictionaries.
        shuffle: another order in every epoch, from seed and epoch.
        **options: fields of `StreamOptions`, such as batch_size.

    Returns:
        A stream of dicts: `image` (B, H, W) or (B, H, W, 3), float32 from 0 to 1 by default; and
        `label` (B,) if there are labels: int64, floats, or texts as int8 (B, length).

    Raises:
        ConfigurationError: the dataset or an option is invalid.
        MissingColumn: there is no such column.
        MissingDependency: mlx-data is not installed.

    Example:
        >>> from dataset_assets import hf_dataset_to_mlx_stream, load_published
        >>> photos = load_published("published/me/photos", "train")
        >>> stream = hf_dataset_to_mlx_stream(photos, shuffle=True, batch_size=8, label_key=None)
        >>> next(stream)["image"].shape
        (8, 64, 64, 3)
        >>> stream.reset()  # the next epoch
    """
    chosen = StreamOptions(**options)
    return MlxStream(open_dataset(dataset, chosen), chosen, shuffle=shuffle)


def shards_to_mlx_stream(
    store: Store | str, split: str | None = None, shuffle: bool = False, **options: Any
) -> "MlxStream":
    """Return the batches of a shard set, or of one split of a folder of splits.

    Every image is one range read, so an epoch in any order needs no shuffle buffer.

    Args:
        store: folder of the shards (format webdataset) or splits, as a store or url.
        split: name of the split. None for a shard set.
        shuffle: another order in every epoch, from seed and epoch.
        **options: fields of `StreamOptions`. `label_key` is a column of the metadata, such as
            "caption".

    Returns:
        A stream of batches like those of `hf_dataset_to_mlx_stream`.

    Raises:
        ObjectMissing: there are neither shards nor splits.
        ShardCorrupt: a file differs from its record.
        ConfigurationError: an option is invalid, or samples cannot be read one by one.
        MissingColumn: there is no such column.
        MissingDependency: mlx-data is not installed.

    Example:
        >>> from dataset_assets import shards_to_mlx_stream
        >>> stream = shards_to_mlx_stream("shards", shuffle=True, batch_size=8)
        >>> next(stream)["image"].shape
        (8, 64, 64, 3)
    """
    chosen = StreamOptions(**options)
    opened = open_store(store) if isinstance(store, str) else store
    return MlxStream(open_tars(opened, split, chosen), chosen, shuffle=shuffle)


class MlxStream:
    """A stream of mlx-data that knows its epoch and the number of skipped samples.

    Iterating yields the rest of the epoch, then nothing until `reset`. All other attributes are
    those of `stream`, the `mlx.data.Stream`: `key_transform`, `partition` and so on return plain
    streams, whose `reset` starts the next epoch as well.

    A tar that cannot be read raises an exception. After a further `prefetch` of mlx-data, which
    this stream does not need, any exception ends the process.
    """

    def __init__(self, source: StreamSource, options: StreamOptions, *, shuffle: bool) -> None:
        self._batches = BatchMaker(source, options, shuffle=shuffle)
        self.stream = _mlx_data().stream_python_iterable(self._batches.start_epoch)

    @property
    def epoch(self) -> int:
        """The epoch of the batches."""
        return self._batches.epoch

    @property
    def skipped(self) -> int:
        """Samples skipped so far, in all epochs: their images cannot be decoded."""
        return self._batches.skipped

    def reset(self, epoch: int | None = None) -> None:
        """Go to the start of an epoch.

        Args:
            epoch: number of the epoch. None: the next one, or the same one if none of its batches
                was taken.
        """
        if epoch is not None:
            self._batches.seek(epoch)
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
            "streams need mlx-data, which is not installed: pip install 'dataset-assets[mlx]'"
        ) from exc
