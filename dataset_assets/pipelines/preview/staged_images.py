"""Staged samples for people: each image with its label map drawn over it."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np

from dataset_assets.errors import ShardCorrupt
from dataset_assets.images.overlay import overlay
from dataset_assets.records.shards import Manifest
from dataset_assets.records.staged import LABEL_MAP, StagedDataset
from dataset_assets.shards.reading import read_samples
from dataset_assets.shards.writer import StoredSample
from dataset_assets.storage.store import Store

#: Longer side. Contact sheets do not show more.
_MAX_SIDE_PX = 256


def draw_samples(
    store: Store, manifest: Manifest, dataset: StagedDataset, count: int
) -> list[bytes]:
    """Return the first samples as images: PNG with the labels drawn, else as staged.

    Raises:
        ShardCorrupt, ObjectMissing: a shard cannot be read.
    """
    colors = {label.id: label.color for label in dataset.classes if label.color is not None}
    samples = islice(_read_samples(store, manifest), count)
    return [_draw(sample, colors) for sample in samples]


def _read_samples(store: Store, manifest: Manifest) -> Iterator[StoredSample]:
    for record in manifest.shards:
        if record.successes:
            yield from read_samples(store, record)


def _draw(sample: StoredSample, colors: dict[int, tuple[int, int, int]]) -> bytes:
    if LABEL_MAP not in sample.parts:
        return sample.payload
    image = _decode(sample.payload, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    labels = _decode(sample.parts[LABEL_MAP], cv2.IMREAD_UNCHANGED)
    if image is None or labels is None or labels.shape != image.shape[:2]:
        raise ShardCorrupt(
            f"sample {sample.key}: expected a label map of the size of its image, got another; "
            "stage it again"
        )
    height, width = labels.shape
    scale = min(1.0, _MAX_SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    drawn = overlay(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST),
        colors,
    )
    return bytes(cv2.imencode(".png", drawn)[1].tobytes())


def _decode(data: bytes, flags: int) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
