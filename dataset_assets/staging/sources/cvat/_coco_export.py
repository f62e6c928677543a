"""The annotations of an export as "COCO 1.0": a file `annotations/instances_<subset>.json` for each subset, pictures in `images/<subset>/`.

Segmentations are drawn as those of COCO are (see `_coco_masks`). CVAT gives boxes without a segmentation: they are drawn as in its XML, turned by
their attribute `rotation`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.records.staged import ClassLabel
from dataset_assets.staging.coco_format import masks as _coco_masks
from dataset_assets.staging.coco_format.annotations import AnnotationFile
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.sources.cvat import _shapes as _cvat_shapes
from dataset_assets.staging.sources.cvat._annotations import Found


class CocoAnnotations:
    """The annotation files of an export, by subset."""

    def __init__(self, files: Mapping[str, AnnotationFile]) -> None:
        self._files = files
        self.warnings: Mapping[str, int] = sum(
            (file.warnings for file in files.values()), Counter()
        )
        names: dict[int, str] = {}
        for file in files.values():
            for number, category in file.categories.items():
                name = str(category.get("name", ""))
                if names.setdefault(number, name) != name:
                    raise ArchiveCorrupt(
                        f"{file.name}: category {number} is {name!r}, but {names[number]!r} in another subset; export it again"
                    )
        self.classes = tuple(ClassLabel(number, name) for number, name in sorted(names.items()))

    def find(self, path: str) -> Found | None:
        """Return the image that a picture is of."""
        subset, _, name = path.partition("/")
        if subset in self._files and name in self._files[subset].images:
            return Found((subset, name), subset)
        return next(
            (
                Found((subset, path), subset)
                for subset, file in self._files.items()
                if path in file.images
            ),
            None,
        )

    def missing(self, found: set[Any]) -> int:
        """Return how many images have an entry, but no picture."""
        return sum(len(file.images) for file in self._files.values()) - len(found)

    def document(self, key: tuple[str, str]) -> bytes:
        """Return what is known of an image as JSON: `image` and `annotations`, as exported."""
        subset, name = key
        file = self._files[subset]
        return (
            b'{"image": '
            + file.image_entry(name)
            + b', "annotations": ['
            + b", ".join(file.annotations_of(file.images[name].id))
            + b"]}"
        )

    def draw(self, document: Mapping[str, Any], size: tuple[int, int]) -> LabelMap:
        """Draw the annotations of a document into a map of (height, width).

        Raises:
            SampleError: one can not be drawn.
        """
        label_map = LabelMap(*size)
        _coco_masks.draw(
            label_map,
            [
                each if each.get("segmentation") else _with_box(each)
                for each in document["annotations"]
            ],
        )
        return label_map


def _with_box(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Return an annotation with its box as segmentation; without a box nothing is drawn."""
    box, attributes = annotation.get("bbox"), annotation.get("attributes")
    rotation = attributes.get("rotation", 0.0) if isinstance(attributes, dict) else 0.0
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(isinstance(value, int | float) for value in [*box, rotation])
    ):
        return {**annotation, "segmentation": []}
    return {
        **annotation,
        "segmentation": [
            _cvat_shapes.box(box[0], box[1], box[0] + box[2], box[1] + box[3], rotation)
        ],
    }
