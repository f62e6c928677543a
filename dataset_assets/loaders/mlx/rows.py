"""Where the samples of a stream come from: the contract of a source, and datasets in memory or of Hugging Face.

A source hands out blocks, small pieces of an epoch in order; what a block holds is read by any thread, any number of blocks at a time.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from dataset_assets.errors import ConfigurationError, MissingColumn
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.order.permutation import permutation

#: Samples that one thread reads at a time: few enough that all threads are busy from the start.
BLOCK = 16
SHUFFLE_BUFFER = 1000  # samples, for datasets that have no random access


@dataclass(frozen=True, slots=True)
class RawSample:
    """A sample that is not decoded yet."""

    name: str  # for people: which one it is
    image: Any  # see `_pixels.to_pixels`
    label: Any = None


class Source(Protocol):
    """Samples in an order per epoch."""

    has_labels: bool

    def blocks(self, epoch: int, *, shuffle: bool) -> Iterator[Any]:
        """Yield the blocks of an epoch in order, cheaply."""

    def read(self, block: Any) -> list[RawSample]:
        """Return the samples of a block in order. Called from several threads.

        Raises:
            StorageError, ShardError: they are gone.
        """


def index_blocks(count: int, *, shuffle: bool, seed: int, epoch: int) -> Iterator[Sequence[int]]:
    """Yield the numbers below `count` block by block."""
    order: Any = permutation(count, seed=seed, epoch=epoch) if shuffle else range(count)
    for start in range(0, count, BLOCK):
        yield [int(index) for index in order[start : start + BLOCK]]


def open_rows(dataset: Any, options: StreamOptions) -> Source:
    """Return the source of a `datasets.Dataset`, a `datasets.IterableDataset`, or a sequence of dictionaries.

    Raises:
        ConfigurationError: it is something else, or has no such columns.
    """
    datasets = sys.modules.get("datasets")  # whoever has one of its datasets has imported it
    if datasets is not None and isinstance(dataset, datasets.IterableDataset):
        return Streamed(_encoded(datasets, dataset, options), options)
    if datasets is not None and isinstance(dataset, datasets.Dataset):
        return Indexed(_encoded(datasets, dataset, options), options)
    if isinstance(dataset, Mapping):
        raise ConfigurationError(
            f"dataset: expected one split, came a dictionary of {', '.join(map(str, dataset))}; choose one: ds['train']"
        )
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise ConfigurationError(
            f"dataset: expected a datasets.Dataset or a list of dictionaries, came {type(dataset).__name__}"
        )
    if len(dataset):
        _label_key(list(dataset[0]), options)
    return Indexed(_Rows(dataset), options)


class Indexed:
    """Samples with random access."""

    def __init__(self, rows: Any, options: StreamOptions) -> None:
        self._rows, self._options = rows, options
        names = getattr(rows, "column_names", None) or (
            list(rows[0]) if len(rows) else [options.image_key]
        )
        self._label_key = _label_key(names, options)
        self.has_labels = self._label_key is not None

    def blocks(self, epoch: int, *, shuffle: bool) -> Iterator[Any]:
        """See `Source`."""
        return index_blocks(len(self._rows), shuffle=shuffle, seed=self._options.seed, epoch=epoch)

    def read(self, block: Any) -> list[RawSample]:
        """See `Source`."""
        columns = self._rows[block]
        labels = columns[self._label_key] if self._label_key is not None else [None] * len(block)
        images = columns[self._options.image_key]
        return [
            RawSample(f"row {index}", *values)
            for index, *values in zip(block, images, labels, strict=True)
        ]


class Streamed:
    """Samples that come one after the other. Shuffling is that of `datasets`: the order of files, and a buffer."""

    def __init__(self, rows: Any, options: StreamOptions) -> None:
        self._rows, self._options = rows, options
        names = rows.column_names or list(next(iter(rows), {options.image_key: None}))
        self._label_key = _label_key(names, options)
        self.has_labels = self._label_key is not None

    def blocks(self, epoch: int, *, shuffle: bool) -> Iterator[Any]:
        """See `Source`."""
        rows = self._rows
        if shuffle:
            rows = rows.shuffle(seed=self._options.seed, buffer_size=SHUFFLE_BUFFER)
            rows.set_epoch(epoch)
        samples = map(self._sample, enumerate(rows))
        while block := list(islice(samples, BLOCK)):
            yield block

    def read(self, block: Any) -> list[RawSample]:
        """See `Source`."""
        return list(block)

    def _sample(self, numbered: tuple[int, dict[str, Any]]) -> RawSample:
        number, row = numbered
        label = row[self._label_key] if self._label_key is not None else None
        return RawSample(f"sample {number} of the stream", row[self._options.image_key], label)


class _Rows:
    """A sequence of dictionaries, read as `datasets` reads: a list of numbers gives a dictionary of lists."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, indices: Any) -> Any:
        if isinstance(indices, int):
            return self._rows[indices]
        rows = [self._rows[index] for index in indices]
        return {name: [row[name] for row in rows] for name in rows[0]}


def _label_key(names: Sequence[str], options: StreamOptions) -> str | None:
    """Return the column of the labels; None when there is none."""
    wanted = [options.image_key, options.label_key]
    if options.label_key is None or (options.label_key == "label" and "label" not in names):
        wanted.pop()
    missing = [str(name) for name in wanted if name not in names]
    if missing:
        raise MissingColumn(
            f"no column {missing[0]!r} in {', '.join(names)}; name it with image_key or label_key"
        )
    return wanted[1] if len(wanted) == 2 else None


def _encoded(datasets: Any, dataset: Any, options: StreamOptions) -> Any:
    """Return a dataset of hugging face whose images stay files in memory, and that reads no other columns."""
    features = dataset.features
    if features is None:  # a stream that does not know its columns
        return dataset
    label_key = _label_key(list(features), options)
    if (
        getattr(dataset, "format", {}).get("type") == "custom"
    ):  # the user's own transform makes the images
        return dataset
    dataset = dataset.select_columns([options.image_key, *([label_key] if label_key else [])])
    feature = features[options.image_key]
    if isinstance(feature, datasets.Image):
        return dataset.with_format(None).cast_column(
            options.image_key, datasets.Image(decode=False)
        )
    if "Image" in str(feature):
        raise ConfigurationError(
            f"column {options.image_key!r}: expected an image per sample, came {feature}"
        )
    is_file = getattr(feature, "dtype", "") in ("binary", "large_binary")
    return dataset.with_format(None if is_file else "numpy")
