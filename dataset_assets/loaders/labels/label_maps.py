"""Label ids of a dataset -> train ids of a class dictionary, and where class dictionaries come from."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ClassDictionaryError
from dataset_assets.loaders.labels.class_dictionary import SHIPPED, ClassDictionary, shipped
from dataset_assets.loaders.samples.staged_rows import StagedRows
from dataset_assets.records.staged import LABEL_COUNTS, StagedDataset
from dataset_assets.storage.store import Store

logger = logging.getLogger(__name__)

#: As `Create...Loaders` take it: a dictionary, its fields, the name of a shipped one, an object of the bucket, or a file.
DictionarySource = ClassDictionary | Mapping[str, Any] | str | Path


class TrainIds:
    """Turns label maps into train ids. Picklable."""

    def __init__(self, dictionary: ClassDictionary) -> None:
        self.ignore = dictionary.ignore
        self._tables = {bits: dictionary.lut(bits) for bits in ("uint8", "uint16")}

    def __call__(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return the train ids of label ids: (H, W) uint8 or uint16 -> (H, W) of `ClassDictionary.label_dtype`."""
        table = self._tables[labels.dtype.name]
        if table.dtype == labels.dtype == np.uint8:
            return cv2.LUT(labels, table)  # type: ignore[no-any-return]
        return table[labels]  # type: ignore[no-any-return]


def read_dictionary(source: DictionarySource, store: Store) -> ClassDictionary:
    """Return a class dictionary, wherever it is: an object of the bucket comes before a file of the same name.

    Raises:
        ClassDictionaryError: it is nowhere, or not a class dictionary.
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
        f"class dictionary {key!r}: neither an object of {store.url} nor a file; upload it, or name one of {', '.join(SHIPPED)}"
    )


def unknown_labels(dictionary: ClassDictionary, dataset: StagedDataset | None) -> dict[int, int]:
    """Return the label ids that occur in a staged dataset and are trained as `ignore` for want of an entry, with the number of images; log them."""
    if dataset is None:
        return {}
    unknown = dictionary.unknown(int(label) for label in dataset.images)
    found = {label: dataset.images[str(label)] for label in sorted(unknown)}
    if found:
        named = {entry.id: entry.name for entry in dataset.classes}
        counts = ", ".join(
            f"{label} ({named.get(label, '?')}) in {images} images"
            for label, images in found.items()
        )
        logger.warning(
            "%s %s: not in the class dictionary, so ignored: %s",
            dataset.source,
            dataset.partition,
            counts,
        )
    return found


def class_weights(dictionary: ClassDictionary, rows: StagedRows) -> NDArray[np.float64] | None:
    """Return how often each sample is drawn, as the class dictionary says; None when it does not, or the set does not say which labels are where."""
    wanted = dictionary.sample_weights
    if wanted is None:
        return None
    if LABEL_COUNTS not in rows.columns:
        logger.warning(
            "%s: sample_weights of the class dictionary are not used, since only staged sets say which classes a sample has",
            rows.url,
        )
        return None
    labels = {
        str(label) for label, train_id in dictionary.trainIds.items() if train_id == wanted.train_id
    }
    has = [
        not labels.isdisjoint(json.loads(counts) if counts else ())
        for counts in rows.column(LABEL_COUNTS)
    ]
    return np.where(has, wanted.weights[1], wanted.weights[0])


def described(dictionary: ClassDictionary) -> list[dict[str, Any]]:
    """Return the objects of a class dictionary as they stand in its file."""
    return [
        {
            "id": entry.id,
            "trainId": entry.train_id,
            "name": entry.name,
            "category": entry.category,
            "display": entry.display,
            "color": list(entry.color),
        }
        for entry in dictionary.objects
    ]
