"""Contact sheets of batches: arrays of a loader as images, with labels drawn over them."""

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.images.contact_sheet import draw_contact_sheet
from dataset_assets.images.overlay import overlay
from dataset_assets.loaders.labels.class_dictionary import ClassDictionary

_TILES_IN_ROW = 4


def draw_images(inputs: NDArray[Any], captions: Sequence[str], tile_px: int) -> bytes:
    """Draw images, (N, C, H, W) RGB from 0 to 255, as a JPEG."""
    tiles = [_encode_png(cv2.cvtColor(_pixels(image), cv2.COLOR_RGB2BGR)) for image in inputs]
    return _draw_sheet(tiles, captions, _TILES_IN_ROW, tile_px)


def draw_pairs(
    keys: Iterable[str],
    inputs: NDArray[Any],
    labels: NDArray[Any],
    dictionary: ClassDictionary,
    tile_px: int,
) -> bytes:
    """Draw each image, and beside it the image with its labels, as a JPEG.

    Args:
        keys: captions of the images.
        inputs: (N, C, H, W), BGR from 0 to 255.
        labels: (N, H, W), train ids.
        dictionary: says which classes are drawn, and in which colors.
        tile_px: side of a tile.
    """
    displayed, colors = _displayed_classes(dictionary)
    tiles = []
    captions = []
    for key, image, label_map in zip(keys, inputs, labels.astype(np.int64), strict=True):
        pixels = _pixels(image)
        drawn = overlay(pixels, displayed[label_map], colors)
        tiles += [_encode_png(pixels), _encode_png(drawn)]
        captions += [key, "labels"]
    return _draw_sheet(tiles, captions, 2 * _TILES_IN_ROW, tile_px)


def _draw_sheet(
    tiles: Sequence[bytes], captions: Sequence[str], columns: int, tile_px: int
) -> bytes:
    return draw_contact_sheet(
        tiles, columns=columns, tile_px=tile_px, captions=captions, format="jpg", quality=90
    )


def _displayed_classes(
    dictionary: ClassDictionary,
) -> tuple[NDArray[np.int64], dict[int, tuple[int, int, int]]]:
    """Return train id -> label that is drawn (0: none), and the color of each label."""
    displayed = np.zeros(1 << 16, np.int64)
    colors: dict[int, tuple[int, int, int]] = {}
    for entry in dictionary.objects:
        if entry.display and 0 <= entry.train_id < dictionary.classes:
            displayed[entry.train_id] = entry.train_id + 1
            colors.setdefault(entry.train_id + 1, entry.color)
    return displayed, colors


def _pixels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image of a batch, (C, H, W) from 0 to 255, as (H, W, 3) uint8."""
    return np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _encode_png(image: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", image)[1].tobytes())
