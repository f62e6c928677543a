"""Draws COCO segmentations into a label map: crowds below objects, large objects below small ones.

Spec: https://cocodataset.org/#format-data
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.staging.masks import rle
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.masks.polygons import fill_box

#: A polygon with fewer coordinates has no area. COCO has a few.
_MIN_COORDINATES = 6


def draw(label_map: LabelMap, annotations: Iterable[Mapping[str, Any]]) -> None:
    """Draw the annotations of one image, each with the id of its category.

    Raises:
        SampleError: an annotation cannot be drawn; the message names it.
    """
    for annotation in sorted(annotations, key=_draw_order):
        try:
            _draw_one(label_map, annotation["segmentation"], annotation["category_id"])
        except (ValueError, TypeError, KeyError) as exc:
            reason = f"it has no {exc}" if isinstance(exc, KeyError) else str(exc)
            raise SampleError(
                Cause.DECODE_ERROR, f"annotation {annotation.get('id')}: {reason}"
            ) from exc


def _draw_order(annotation: Mapping[str, Any]) -> tuple[bool, float]:
    """Sort crowds first, then by decreasing area: what is drawn later covers what was before."""
    area = annotation.get("area")
    negative_area = -area if isinstance(area, int | float) else 0.0
    return not annotation.get("iscrowd"), negative_area


def _draw_one(label_map: LabelMap, segmentation: Any, label: Any) -> None:
    # A bool is an int: `isinstance` would accept True as category 1.
    if type(label) is not int or label < 1:
        raise ValueError(f"expected a category from 1 on, got {label!r}")
    height, width = label_map.pixels.shape
    if isinstance(segmentation, list):
        for polygon in segmentation:
            if len(polygon) >= _MIN_COORDINATES:
                label_map.paint(fill_box(polygon, height, width), label)
        return
    # Crowds have run lengths: {"counts": list or text, "size": [height, width]}.
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(
            f"expected run lengths of the size {[height, width]} of the image, "
            f"got {segmentation['size']}"
        )
    label_map.paint(rle.decode(segmentation["counts"], height, width), label)
