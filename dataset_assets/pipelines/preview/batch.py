"""`preview_batch`: the first batch that training would get from a staged set, and a picture of it: each sample, and beside it its labels drawn over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.images.contact_sheet import contact_sheet
from dataset_assets.images.overlay import overlay
from dataset_assets.loaders.labels.class_dictionary import SHIPPED, ClassDictionary
from dataset_assets.loaders.labels.label_maps import (
    DictionarySource,
    TrainIds,
    read_dictionary,
    unknown_labels,
)
from dataset_assets.loaders.samples.sample import LoadedSample
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.loader import LoaderOptions, ShardLoader, StagedRows
from dataset_assets.loaders.torch.transforms import ClassificationTransform, SegmentationTransform
from dataset_assets.records.staged import StagedDataset
from dataset_assets.storage.store import Store

LABEL_MAP = "seg.png"
_GRAY = (128, 128, 128)
_PAIRS_IN_ROW = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """What the batch is like."""

    batch_size: int = 8
    height: int = 256  # px
    width: int = 256
    seed: int = 0
    augment: bool = True  # as in training; False: as in validation
    class_dictionary: DictionarySource | None = (
        None  # None: the one that is shipped for the source, else one made of its classes
    )


@dataclass(frozen=True, slots=True)
class Preview:
    """A batch, looked at."""

    picture: bytes  # JPEG
    keys: tuple[str, ...]
    shapes: dict[str, str]  # "inputs" -> "(8, 3, 256, 256) float32"
    labels: dict[str, int]  # class -> pixels in the batch; samples, for labels of whole images
    unknown_labels: dict[
        int, int
    ]  # label ids that the class dictionary does not have -> images of the set
    metrics: dict[str, Any]  # of the loader


def preview_batch(store: Store, options: PreviewOptions | None = None) -> Preview:
    """Load one batch from a staged set and draw it. The same set and options give the same picture.

    Raises:
        ConfigurationError: the samples have neither label maps nor labels; ClassDictionaryError: a class dictionary that can not be used.
        ShardCorrupt, SourceError: samples can not be read.
    """
    options, rows = options or PreviewOptions(), StagedRows(store)
    if LABEL_MAP in rows.parts:
        return _segmentation(rows, options)
    if "label" in rows.columns:
        return _classification(rows, options)
    raise ConfigurationError(
        f"{rows.url}: expected label maps ({LABEL_MAP}) or a column `label`, found neither: preview another partition"
    )


def _segmentation(rows: StagedRows, options: PreviewOptions) -> Preview:
    dictionary = _dictionary(rows, options.class_dictionary)
    augmented = _augment(options, dictionary.ignore)
    transform = SegmentationTransform(
        options=augmented, train_ids=TrainIds(dictionary), image_transform=_as_it_is
    )
    (keys, inputs, labels, *_), metrics = _batch(
        rows, _Keyed(transform), options, parts=(LABEL_MAP,)
    )
    images = [_pixels(image) for image in inputs]
    shown, colors = _shown(dictionary)
    drawn = [
        overlay(image, shown[label], colors)
        for image, label in zip(images, labels.astype(np.int64), strict=True)
    ]
    tiles = [_png(each) for pair in zip(images, drawn, strict=True) for each in pair]
    captions = [text for key in keys for text in (key, "labels")]
    counts = {name: int((labels == index).sum()) for index, name in enumerate(dictionary.names)}
    counts["(ignored)"] = int((labels == dictionary.ignore).sum())
    picture = contact_sheet(
        tiles,
        columns=2 * _PAIRS_IN_ROW,
        tile_px=_tile(options),
        captions=captions,
        format="jpg",
        quality=90,
    )
    unknown = unknown_labels(dictionary, rows.dataset)
    return Preview(
        picture,
        keys,
        _shapes(inputs, labels),
        {name: count for name, count in counts.items() if count},
        unknown,
        metrics,
    )


def _classification(rows: StagedRows, options: PreviewOptions) -> Preview:
    transform = ClassificationTransform(
        options=_augment(options, 255), fit=(options.width, options.height)
    )
    (keys, inputs, labels), metrics = _batch(
        rows, _Keyed(transform), options, parts=(), columns=("label",)
    )
    names = (
        {label.id: label.name for label in rows.dataset.classes} if rows.dataset is not None else {}
    )
    named = [names.get(int(label), str(label)) for label in labels]
    tiles = [_png(cv2.cvtColor(_pixels(image), cv2.COLOR_RGB2BGR)) for image in inputs]
    picture = contact_sheet(
        tiles,
        columns=_PAIRS_IN_ROW,
        tile_px=_tile(options),
        captions=named,
        format="jpg",
        quality=90,
    )
    counts = {name: named.count(name) for name in sorted(set(named))}
    return Preview(picture, keys, _shapes(inputs, labels), counts, {}, metrics)


def _as_it_is(image: Any) -> Any:
    """Have images made as training gets them: without any transform of images the transform would give pixels."""
    return image


class _Keyed:
    """A transform that gives the key of each sample first."""

    def __init__(self, transform: SegmentationTransform | ClassificationTransform) -> None:
        self._transform = transform

    def __call__(self, sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        return sample.key, *self._transform(sample, rng)


def _columns(samples: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> list[Any]:
    """Collate: keys as texts, everything else as arrays."""
    del rng
    keys, *fields = zip(*samples, strict=True)
    return [tuple(keys), *(np.stack([np.asarray(value) for value in field]) for field in fields)]


def _batch(
    rows: StagedRows,
    transform: _Keyed,
    options: PreviewOptions,
    *,
    parts: tuple[str, ...],
    columns: tuple[str, ...] = (),
) -> tuple[list[Any], dict[str, Any]]:
    size = min(options.batch_size, len(rows))
    loader = ShardLoader(
        rows,
        transform,
        _columns,
        options=LoaderOptions(
            global_batch_size=max(size, 1),
            seed=options.seed,
            parts=parts,
            columns=columns,
            bad_samples="skip",
            max_bad_fraction=1,
        ),
    )
    batch = next(iter(loader), None)
    if batch is None:
        raise SourceError(f"{rows.url}: no sample of the first batch can be used")
    return batch, loader.metrics()


def _augment(options: PreviewOptions, ignore: int) -> AugmentOptions:
    return AugmentOptions(
        height=options.height,
        width=options.width,
        random=options.augment,
        normalize="none",
        ignore=ignore,
    )


def _dictionary(rows: StagedRows, source: DictionarySource | None) -> ClassDictionary:
    dataset = rows.dataset
    if source is None and dataset is not None and dataset.source not in SHIPPED:
        return dictionary_of(dataset)
    return read_dictionary(source or (dataset.source if dataset is not None else ""), rows.store)


def dictionary_of(dataset: StagedDataset) -> ClassDictionary:
    """Return a class dictionary with a class for each class of a dataset, behind the background."""
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
    count = len(objects) + 1
    return ClassDictionary.load(
        {
            "background": 0,
            "ignore": 255 if count <= 255 else 65535,
            "classes": count,
            "objects": objects,
        }
    )


def _shown(
    dictionary: ClassDictionary,
) -> tuple[NDArray[np.int64], dict[int, tuple[int, int, int]]]:
    """Return train id -> what is drawn (0: nothing), and the colours of that."""
    shown = np.zeros(1 << 16, np.int64)
    colors: dict[int, tuple[int, int, int]] = {}
    for entry in dictionary.objects:
        if entry.display and 0 <= entry.train_id < dictionary.classes:
            shown[entry.train_id] = entry.train_id + 1
            colors.setdefault(entry.train_id + 1, entry.color)
    return shown, colors


def _pixels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image of a batch, (C, H, W) from 0 to 255, as (H, W, 3) uint8."""
    return np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _png(image: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def _tile(options: PreviewOptions) -> int:
    return min(256, max(options.height, options.width))


def _shapes(inputs: NDArray[Any], labels: NDArray[Any]) -> dict[str, str]:
    return {
        name: f"{tuple(values.shape)} {values.dtype}"
        for name, values in (("inputs", inputs), ("labels", labels))
    }
