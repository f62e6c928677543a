"""The category table of a partition of COCO, from all of its annotation files.

Spec: https://cocodataset.org/#format-data
"""

from collections.abc import Iterable

from dataset_assets.records.staged import ClassLabel
from dataset_assets.staging.coco_format.annotations import AnnotationFile


def merge_categories(files: Iterable[AnnotationFile]) -> tuple[ClassLabel, ...]:
    """Return the categories of all files by id. Only those of kind "panoptic" have colors."""
    labels: dict[int, ClassLabel] = {}
    for file in files:
        for number, raw in file.categories.items():
            color = tuple(raw["color"]) if "color" in raw else None
            known = labels.get(number)
            if known is None:
                name = str(raw.get("name", number))
                labels[number] = ClassLabel(number, name, str(raw.get("supercategory", "")), color)
            elif known.color is None:
                labels[number] = ClassLabel(number, known.name, known.category, color)
    return tuple(labels[number] for number in sorted(labels))
