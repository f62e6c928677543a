"""COCO's segmentations drawn into a label map: crowds lie below objects, large objects below small ones."""

from collections.abc import Iterable, Mapping
from typing import Any

from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.staging.masks import rle as _rle
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.masks.polygons import fill_box

_FEWEST_NUMBERS = 6  # of a polygon that has an area


def draw(label_map: LabelMap, annotations: Iterable[Mapping[str, Any]]) -> None:
    """Draw the annotations of one image, each with the id of its category.

    Raises:
        SampleError: one can not be drawn; the message names it.
    """
    for annotation in sorted(annotations, key=_depth):
        try:
            _draw_one(label_map, annotation["segmentation"], annotation["category_id"])
        except (ValueError, TypeError, KeyError) as exc:
            reason = f"it has no {exc}" if isinstance(exc, KeyError) else str(exc)
            raise SampleError(
                Cause.DECODE_ERROR, f"annotation {annotation.get('id')}: {reason}"
            ) from exc


def _depth(annotation: Mapping[str, Any]) -> tuple[bool, float]:
    """Order what is drawn first before what covers it."""
    area = annotation.get("area")
    return not annotation.get("iscrowd"), -area if isinstance(area, int | float) else 0.0


def _draw_one(label_map: LabelMap, segmentation: Any, label: Any) -> None:
    if type(label) is not int or label < 1:
        raise ValueError(f"expected a category from 1 on, got {label!r}")
    if isinstance(segmentation, list):
        for polygon in segmentation:
            if len(polygon) >= _FEWEST_NUMBERS:
                label_map.paint(fill_box(polygon, *label_map.pixels.shape), label)
        return
    height, width = label_map.pixels.shape
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(
            f"expected run lengths of the size {[height, width]} of the image, got {segmentation['size']}"
        )
    label_map.paint(_rle.decode(segmentation["counts"], height, width), label)
