"""`preview_batch`: the first batch that training would get from a staged set, and a drawing of it.

The drawing shows each sample and, beside it, the sample with its labels drawn over it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.loaders.labels.class_dictionary import SHIPPED, ClassDictionary
from dataset_assets.loaders.labels.label_maps import (
    DictionarySource,
    TrainIds,
    read_dictionary,
    unknown_labels,
)
from dataset_assets.loaders.samples.sample import LoadedSample
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.loader import LoaderOptions, ShardLoader, ShardRows
from dataset_assets.loaders.torch.transforms import ClassificationTransform, SegmentationTransform
from dataset_assets.pipelines.preview._drawing import draw_images, draw_pairs
from dataset_assets.records.staged import LABEL_MAP, StagedDataset
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
    """Of the loader."""


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
        image_transform=_identity,
    )
    batch, metrics = _load_batch(rows, transform, options, parts=(LABEL_MAP,))
    keys, inputs, labels, *_ = batch
    return Preview(
        draw_pairs(keys, inputs, labels, dictionary, _tile_px(options)),
        keys,
        _describe_shapes(inputs, labels),
        _count_pixels(labels, dictionary),
        unknown_labels(dictionary, rows.dataset),
        metrics,
    )


def _preview_classification(rows: ShardRows, options: PreviewOptions) -> Preview:
    transform = ClassificationTransform(
        options=_augment_options(options, _IGNORE), fit=(options.width, options.height)
    )
    batch, metrics = _load_batch(rows, transform, options, columns=("label",))
    keys, inputs, labels = batch
    names = {} if rows.dataset is None else {each.id: each.name for each in rows.dataset.classes}
    captions = [names.get(int(label), str(label)) for label in labels]
    counts = {name: captions.count(name) for name in sorted(set(captions))}
    drawing = draw_images(inputs, captions, _tile_px(options))
    return Preview(drawing, keys, _describe_shapes(inputs, labels), counts, {}, metrics)


def _tile_px(options: PreviewOptions) -> int:
    return min(_MAX_TILE_PX, max(options.height, options.width))


def _identity(image: Any) -> Any:
    """Keep an image as training gets it.

    With no image transform at all, the transform of segmentation returns pixels.
    """
    return image


def _collate(samples: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> list[Any]:
    """Return the keys as texts and everything else as arrays."""
    del rng
    keys, *fields = zip(*samples, strict=True)
    arrays = [np.stack([np.asarray(value) for value in field]) for field in fields]
    return [keys, *arrays]


def _load_batch(
    rows: ShardRows,
    transform: SegmentationTransform | ClassificationTransform,
    options: PreviewOptions,
    *,
    parts: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
) -> tuple[list[Any], dict[str, Any]]:
    """Return the first batch, keys first, and the metrics of the loader."""

    def keyed(sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        return sample.key, *transform(sample, rng)

    loader_options = LoaderOptions(
        global_batch_size=max(min(options.batch_size, len(rows)), 1),
        seed=options.seed,
        parts=parts,
        columns=columns,
        bad_samples="skip",
        max_bad_fraction=1,
    )
    loader = ShardLoader(rows, keyed, _collate, options=loader_options)
    batch = next(iter(loader), None)
    if batch is None:
        raise SourceError(
            f"{rows.url}: expected usable samples in the first batch, got none; "
            "see the failures by cause of the staged set"
        )
    return batch, loader.metrics()


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
    if source is None and dataset is not None:
        if dataset.source not in SHIPPED:
            return _make_dictionary(dataset)
        source = dataset.source
    return read_dictionary(source or "", rows.store)


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
