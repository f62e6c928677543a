"""Sources of a stream: the contract, and datasets in memory or of Hugging Face.

A source yields blocks, small pieces of an epoch in order. Any thread reads what a block holds, any
number of blocks at a time.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from dataset_assets.errors import ConfigurationError, MissingColumn
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.order.random_streams import permutation

#: Samples that one thread reads at a time: few, so that all threads are busy from the start.
BLOCK_SIZE = 16
SHUFFLE_BUFFER = 1000  # samples, for datasets without random access


@dataclass(frozen=True, slots=True)
class RawSample:
    """A sample that is not decoded."""

    name: str
    """Which sample it is, for messages."""
    image: Any
    """An image that `pixels.to_pixels` accepts."""
    label: Any = None


class StreamSource(Protocol):
    """Samples in an order per epoch."""

    has_labels: bool

    def blocks(self, epoch: int, *, shuffle: bool) -> Iterator[Any]:
        """Yield the blocks of an epoch in order, without reading samples if possible."""

    def read(self, block: Any) -> list[RawSample]:
        """Return the samples of a block in order. Called from several threads.

        Raises:
            StorageError, ShardError: they cannot be read.
        """


def index_blocks(count: int, *, shuffle: bool, seed: int, epoch: int) -> Iterator[Sequence[int]]:
    """Yield the numbers below `count` in blocks."""
    order: Any = permutation(count, seed=seed, epoch=epoch) if shuffle else range(count)
    for start in range(0, count, BLOCK_SIZE):
        yield [int(index) for index in order[start : start + BLOCK_SIZE]]


def open_dataset(dataset: Any, options: StreamOptions) -> StreamSource:
    """Return the source of a `Dataset` or `IterableDataset`, or a sequence of dictionaries.

    Raises:
        ConfigurationError: it is something else.
        MissingColumn: it does not have the columns.
    """
    datasets = sys.modules.get("datasets")  # whoever has one of its datasets has imported it
    if datasets is not None and isinstance(dataset, datasets.IterableDataset):
        return IterableSource(_undecoded(datasets, dataset, options), options)
    if datasets is not None and isinstance(dataset, datasets.Dataset):
        return MapSource(_undecoded(datasets, dataset, options), options)
    if isinstance(dataset, Mapping):
        raise ConfigurationError(
            f"dataset: expected one split, got a dictionary of {', '.join(map(str, dataset))}; "
            "choose one: ds['train']"
        )
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise ConfigurationError(
            "dataset: expected a datasets.Dataset or a list of dictionaries, "
            f"got {type(dataset).__name__}"
        )
    if len(dataset):
        _find_label_key(list(dataset[0]), options)
    return MapSource(_DictionaryTable(dataset), options)


class MapSource:
    """Samples with random access."""

    def __init__(self, table: Any, options: StreamOptions) -> None:
        self._table = table
        self._options = options
        names = getattr(table, "column_names", None)
        if not names:
            names = list(table[0]) if len(table) else [options.image_key]
        self._label_key = _find_label_key(names, options)
        self.has_labels = self._label_key is not None

    def blocks(self, epoch: int, *, shuffle: bool) -> Iterator[Any]:
        """Yield lists of row numbers."""
        return index_blocks(len(self._table), shuffle=shuffle, seed=self._options.seed, epoch=epoch)

    def read(self, block: Any) -> list[RawSample]:
        """Read the rows of a block."""
        columns = self._table[block]
        images = columns[self._options.image_key]
        labels = [None] * len(block) if self._label_key is None else columns[self._label_key]
        rows = zip(block, images, labels, strict=True)
        return [RawSample(f"row {index}", image, label) for index, image, label in rows]


class IterableSource:
    """Samples in sequence. Shuffling is that of `datasets`: the order of files, and a buffer."""

    def __init__(self, rows: Any, options: StreamOptions) -> None:
        self._rows = rows
        self._options = options
        names = rows.column_names or list(next(iter(rows), {options.image_key: None}))
        self._label_key = _find_label_key(names, options)
        self.has_labels = self._label_key is not None

    def blocks(self, epoch: int, *, shuffle: bool) -> Iterator[Any]:
        """Yield lists of samples, which are read here: an iterator has one reader."""
        rows = self._rows
        if shuffle:
            rows = rows.shuffle(seed=self._options.seed, buffer_size=SHUFFLE_BUFFER)
            rows.set_epoch(epoch)
        samples = map(self._sample, enumerate(rows))
        while block := list(islice(samples, BLOCK_SIZE)):
            yield block

    def read(self, block: Any) -> list[RawSample]:
        """Return the samples of a block."""
        return list(block)

    def _sample(self, numbered: tuple[int, dict[str, Any]]) -> RawSample:
        number, row = numbered
        label = None if self._label_key is None else row[self._label_key]
        return RawSample(f"sample {number} of the stream", row[self._options.image_key], label)


class _DictionaryTable:
    """A sequence of dictionaries that is read like `datasets`: a list of numbers gives columns."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, indices: Any) -> Any:
        if isinstance(indices, int):
            return self._rows[indices]
        rows = [self._rows[index] for index in indices]
        return {name: [row[name] for row in rows] for name in rows[0]}


def _find_label_key(names: Sequence[str], options: StreamOptions) -> str | None:
    """Return the column of the labels; None if there are no labels."""
    label_key = options.label_key
    if label_key == "label" and "label" not in names:
        label_key = None
    for wanted in (options.image_key, label_key):
        if wanted is not None and wanted not in names:
            raise MissingColumn(
                f"no column {wanted!r} in {', '.join(names)}; name it with image_key or label_key"
            )
    return label_key


def _undecoded(datasets: Any, dataset: Any, options: StreamOptions) -> Any:
    """Return a dataset that reads only our columns, and leaves images as files in memory."""
    features = dataset.features
    if features is None:  # a stream that does not know its columns
        return dataset
    label_key = _find_label_key(list(features), options)
    if getattr(dataset, "format", {}).get("type") == "custom":  # a transform of the user
        return dataset
    columns = [options.image_key, *([label_key] if label_key else [])]
    dataset = dataset.select_columns(columns)
    feature = features[options.image_key]
    if isinstance(feature, datasets.Image):
        undecoded = datasets.Image(decode=False)
        return dataset.with_format(None).cast_column(options.image_key, undecoded)
    if "Image" in str(feature):
        raise ConfigurationError(
            f"column {options.image_key!r}: expected an image per sample, got {feature}"
        )
    is_file = getattr(feature, "dtype", "") in ("binary", "large_binary")
    return dataset.with_format(None if is_file else "numpy")
