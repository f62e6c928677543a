"""Staged samples as pictures: each image with its label map drawn over it."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np

from dataset_assets.errors import ShardCorrupt
from dataset_assets.images.overlay import overlay
from dataset_assets.records.shards import Manifest
from dataset_assets.records.staged import StagedDataset
from dataset_assets.shards.reading import read_samples
from dataset_assets.shards.writer import Sample
from dataset_assets.storage.store import Store

LABEL_MAP = "seg.png"
_SIDE_PX = 256  # of the longer side; more would not be seen


def labelled_pictures(
    store: Store, manifest: Manifest, dataset: StagedDataset, count: int
) -> list[bytes]:
    """Return the first samples as PNG, labels drawn over images that have a label map.

    Raises:
        ShardCorrupt, ObjectMissing: a shard can not be read.
    """
    colors = {label.id: label.color for label in dataset.classes if label.color is not None}
    return [_draw(sample, colors) for sample in islice(_samples(store, manifest), count)]


def _samples(store: Store, manifest: Manifest) -> Iterator[Sample]:
    for record in manifest.shards:
        if record.successes:
            yield from read_samples(store, record)


def _draw(sample: Sample, colors: dict[int, tuple[int, int, int]]) -> bytes:
    if LABEL_MAP not in sample.parts:
        return sample.payload
    image: Any = cv2.imdecode(
        np.frombuffer(sample.payload, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    labels: Any = cv2.imdecode(
        np.frombuffer(sample.parts[LABEL_MAP], np.uint8), cv2.IMREAD_UNCHANGED
    )
    if image is None or labels is None or labels.shape != image.shape[:2]:
        raise ShardCorrupt(
            f"sample {sample.key}: its label map does not fit its image; stage it again"
        )
    scale = min(1.0, _SIDE_PX / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    drawn = overlay(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST),
        colors,
    )
    return bytes(cv2.imencode(".png", drawn)[1].tobytes())
