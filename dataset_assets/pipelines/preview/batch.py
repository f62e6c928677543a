"""`preview_batch`: the first batch that training would get from a staged set, and a drawing of it.

The drawing shows each sample and, beside it, the sample with its labels drawn over it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.loaders.labels.class_dictionary import SHIPPED, ClassDictionary, shipped
from dataset_assets.loaders.labels.label_maps import (
    DictionarySource,
    TrainIds,
    read_dictionary,
    unknown_labels,
)
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.order.epoch import EpochOrder
from dataset_assets.loaders.order.random_streams import sample_random
from dataset_assets.loaders.samples.reader import open_reader
from dataset_assets.loaders.samples.rows import PAYLOAD
from dataset_assets.loaders.samples.sample import LoadedSample, Transform
from dataset_assets.loaders.samples.shard_rows import ShardRows
from dataset_assets.loaders.torch.augment import normalize
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.transforms import ClassificationTransform, SegmentationTransform
from dataset_assets.pipelines.preview._drawing import draw_images, draw_pairs
from dataset_assets.records.staged import LABEL_MAP, SampleError, StagedDataset
from dataset_assets.storage.store import Store

_GRAY = (128, 128, 128)
_IGNORE = 255
_MAX_TILE_PX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """Options for `preview_batch`."""

    batch_size: int = 8
    """Samples; fewer when the set has fewer."""
    height: int = 256
    """Of the images, px."""
    width: int = 256
    """Of the images, px."""
    seed: int = 0
    """Determines the samples and how they are augmented."""
    augment: bool = True
    """As in training. False: as in validation."""
    class_dictionary: DictionarySource | None = None
    """Default: the one that is shipped for the source, else one made of its classes."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A batch and a drawing of it."""

    drawing: bytes
    """Contact sheet, JPEG."""
    keys: tuple[str, ...]
    shapes: dict[str, str]
    """Such as "inputs": "(8, 3, 256, 256) float32"."""
    labels: dict[str, int]
    """Class -> pixels in the batch; samples, for labels of whole images."""
    unknown_labels: dict[int, int]
    """Label id that the class dictionary does not have -> images of the set."""
    metrics: dict[str, Any]
    """Samples and bytes that were read, and why samples were left out, by key."""


def preview_batch(store: Store, options: PreviewOptions | None = None) -> Preview:
    """Load one batch from a staged set and draw it.

    The same set and options give the same drawing.

    Raises:
        ConfigurationError: the samples have neither label maps nor labels.
        ClassDictionaryError: the class dictionary is not valid.
        ShardCorrupt, SourceError: samples cannot be read.
    """
    options = options or PreviewOptions()
    rows = ShardRows(store)
    if LABEL_MAP in rows.parts:
        return _preview_segmentation(rows, options)
    if "label" in rows.columns:
        return _preview_classification(rows, options)
    raise ConfigurationError(
        f"{rows.url}: expected label maps ({LABEL_MAP}) or a column `label`, found neither; "
        "preview another partition"
    )


def _preview_segmentation(rows: ShardRows, options: PreviewOptions) -> Preview:
    dictionary = _dictionary_for(rows, options.class_dictionary)
    transform = SegmentationTransform(
        options=_augment_options(options, dictionary.ignore),
        train_ids=TrainIds(dictionary),
    )
    batch = _load_batch(rows, transform, options, parts=(LABEL_MAP,))
    pixels, label_maps, means, deviations = batch.fields
    moments = zip(pixels, means, deviations, strict=True)
    inputs = np.stack([normalize(*each, transform.options) for each in moments])
    labels = np.stack(label_maps)
    return Preview(
        draw_pairs(batch.keys, inputs, labels, dictionary, _tile_px(options)),
        batch.keys,
        _describe_shapes(inputs, labels),
        _count_pixels(labels, dictionary),
        unknown_labels(dictionary, rows.dataset),
        batch.metrics,
    )


def _preview_classification(rows: ShardRows, options: PreviewOptions) -> Preview:
    transform = ClassificationTransform(
        options=_augment_options(options, _IGNORE), fit=(options.width, options.height)
    )
    batch = _load_batch(rows, transform, options, columns=("label",))
    inputs, labels = (np.stack(values) for values in batch.fields)
    names = {} if rows.dataset is None else {each.id: each.name for each in rows.dataset.classes}
    captions = [names.get(int(label), str(label)) for label in labels]
    counts = {name: captions.count(name) for name in sorted(set(captions))}
    drawing = draw_images(inputs, captions, _tile_px(options))
    shapes = _describe_shapes(inputs, labels)
    return Preview(drawing, batch.keys, shapes, counts, {}, batch.metrics)


def _tile_px(options: PreviewOptions) -> int:
    return min(_MAX_TILE_PX, max(options.height, options.width))


@dataclass(frozen=True, slots=True)
class _Batch:
    """The usable samples of the first batch of epoch 0."""

    keys: tuple[str, ...]
    fields: tuple[tuple[Any, ...], ...]
    """What the transform returned, field by field."""
    metrics: dict[str, Any]


def _load_batch(
    rows: ShardRows,
    transform: Transform,
    options: PreviewOptions,
    *,
    parts: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
) -> _Batch:
    """Load the first batch that a `ShardLoader` would hand out, without torch.

    Bad samples are left out and counted.
    """
    size = max(min(options.batch_size, len(rows)), 1)
    source = LoaderSource(rows=rows)
    order = EpochOrder([source], LoaderOptions(global_batch_size=size, seed=options.seed)).epoch(0)
    reader = open_reader(rows, None, parts, on_download=lambda _: None)
    found: dict[str, tuple[Any, ...]] = {}
    bad: dict[str, str] = {}
    bytes_read = 0
    for position, index in enumerate(order[:size].tolist()):
        members = reader.read(index)
        bytes_read += sum(map(len, members.values()))
        payload = members.pop(PAYLOAD)
        values = rows.values(index, columns)
        key = rows.key(index)
        sample = LoadedSample(key, index, 0, 0, rows.extension(index), payload, members, values)
        try:
            found[key] = transform(sample, sample_random(options.seed, 0, position))
        except SampleError as exc:
            bad[key] = exc.message
    if not found:
        raise SourceError(
            f"{rows.url}: expected usable samples in the first batch, got none; "
            "see the failures by cause of the staged set"
        )
    metrics = {"samples": len(found), "bytes_read": bytes_read, "bad_samples": bad}
    return _Batch(tuple(found), tuple(zip(*found.values(), strict=True)), metrics)


def _augment_options(options: PreviewOptions, ignore: int) -> AugmentOptions:
    return AugmentOptions(
        height=options.height,
        width=options.width,
        random=options.augment,
        normalize="none",
        ignore=ignore,
    )


def _dictionary_for(rows: ShardRows, source: DictionarySource | None) -> ClassDictionary:
    dataset = rows.dataset
    if source is not None or dataset is None:
        return read_dictionary(source or "", rows.store)
    if dataset.source in SHIPPED and _has_its_names(dictionary := shipped(dataset.source), dataset):
        return dictionary
    return _make_dictionary(dataset)


def _has_its_names(dictionary: ClassDictionary, dataset: StagedDataset) -> bool:
    """Tell whether ids mean the same in both: other classes in the layout of COCO have its ids."""
    names = {entry.id: entry.name for entry in dictionary.objects}
    return all(names.get(each.id, each.name) == each.name for each in dataset.classes)


def _make_dictionary(dataset: StagedDataset) -> ClassDictionary:
    """Return a class dictionary with the background and a class for each class of a dataset."""
    objects = [
        {
            "id": label.id,
            "trainId": number,
            "name": label.name,
            "category": label.category or label.name,
            "display": True,
            "color": list(label.color or _GRAY),
        }
        for number, label in enumerate(dataset.classes, 1)
    ]
    return ClassDictionary.load(
        {
            "background": 0,
            "classes": len(objects) + 1,
            "objects": objects,
        }
    )


def _count_pixels(labels: NDArray[Any], dictionary: ClassDictionary) -> dict[str, int]:
    """Return the pixels of each class that occurs."""
    counts = {name: int((labels == index).sum()) for index, name in enumerate(dictionary.names)}
    counts["(ignored)"] = int((labels == dictionary.ignore).sum())
    return {name: count for name, count in counts.items() if count}


def _describe_shapes(inputs: NDArray[Any], labels: NDArray[Any]) -> dict[str, str]:
    arrays = {"inputs": inputs, "labels": labels}
    return {name: f"{values.shape} {values.dtype}" for name, values in arrays.items()}
