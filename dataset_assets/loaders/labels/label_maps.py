"""Label ids of a dataset -> train ids of a class dictionary, and finding class dictionaries."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ClassDictionaryError
from dataset_assets.loaders.labels.class_dictionary import SHIPPED, ClassDictionary, shipped
from dataset_assets.loaders.samples.rows import Rows
from dataset_assets.records.staged import LABEL_COUNTS, StagedDataset
from dataset_assets.storage.store import Store

logger = logging.getLogger(__name__)

#: A dictionary, its fields, the name of a shipped one, an object of the bucket, or a file.
DictionarySource = ClassDictionary | Mapping[str, Any] | str | Path


class TrainIds:
    """Maps label ids to train ids. Picklable."""

    def __init__(self, dictionary: ClassDictionary) -> None:
        self._tables = {dtype: dictionary.lut(dtype) for dtype in ("uint8", "uint16")}

    def apply(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return (H, W) train ids of `ClassDictionary.label_dtype`.

        Args:
            labels: (H, W) uint8 or uint16, label ids.
        """
        table = self._tables[labels.dtype.name]
        if table.dtype == labels.dtype == np.uint8:
            return cv2.LUT(labels, table)  # type: ignore[no-any-return]
        return table[labels]  # type: ignore[no-any-return]


def read_dictionary(source: DictionarySource, store: Store) -> ClassDictionary:
    """Return a class dictionary. An object of the bucket comes before a file of the same name.

    Raises:
        ClassDictionaryError: it does not exist, or is not a class dictionary.
    """
    if isinstance(source, ClassDictionary):
        return source
    if isinstance(source, Mapping):
        return ClassDictionary.load(source)
    if source in SHIPPED:
        return shipped(str(source))
    key = str(source)
    if not key.startswith(("/", "..")) and store.size(key) is not None:
        return ClassDictionary.load(store.read(key), store.locate(key))
    if Path(source).is_file():
        return ClassDictionary.load(Path(source))
    raise ClassDictionaryError(
        f"class dictionary {key!r}: neither an object of {store.url} nor a file; upload it, or "
        f"name one of {', '.join(SHIPPED)}"
    )


def unknown_labels(dictionary: ClassDictionary, dataset: StagedDataset | None) -> dict[int, int]:
    """Return the label ids of a staged dataset that are ignored because they have no object.

    They are logged as a warning.

    Returns:
        Label id -> number of images that have it.
    """
    if dataset is None:
        return {}
    unknown = dictionary.unknown(int(label) for label in dataset.images)
    found = {label: dataset.images[str(label)] for label in sorted(unknown)}
    if found:
        names = {entry.id: entry.name for entry in dataset.classes}
        counts = ", ".join(
            f"{label} ({names.get(label, '?')}) in {images} images"
            for label, images in found.items()
        )
        logger.warning(
            "%s %s: not in the class dictionary, so ignored: %s",
            dataset.source,
            dataset.partition,
            counts,
        )
    return found


def class_weights(dictionary: ClassDictionary, rows: Rows) -> NDArray[np.float64] | None:
    """Return (samples,) how often each sample is drawn.

    None if the class dictionary has no weights, or the set does not record which classes a sample
    has.
    """
    weighting = dictionary.sample_weights
    if weighting is None:
        return None
    if LABEL_COUNTS not in rows.columns:
        logger.warning(
            "%s: sample_weights of the class dictionary are not used; only staged sets record "
            "which classes a sample has",
            rows.url,
        )
        return None
    labels = {str(entry.id) for entry in dictionary.objects if entry.train_id == weighting.train_id}
    has_class = [
        not labels.isdisjoint(json.loads(counts) if counts else ())
        for counts in rows.column(LABEL_COUNTS)
    ]
    without, with_class = weighting.weights
    return np.where(has_class, with_class, without)


def objects_as_json(dictionary: ClassDictionary) -> list[dict[str, Any]]:
    """Return the objects of a class dictionary with the keys of its file."""
    objects: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(dictionary.objects))
    return objects
