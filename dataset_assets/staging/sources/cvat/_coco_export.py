"""The annotations of an export as "COCO 1.0".

There is a file `annotations/instances_<subset>.json` for each subset, and its images are in
`images/<subset>/`. Segmentations are drawn as those of COCO. CVAT exports boxes without a
segmentation: they are drawn as in its XML, rotated by their attribute `rotation`.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-coco/
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.records.staged import ClassLabel
from dataset_assets.staging.coco_format.annotations import AnnotationFile
from dataset_assets.staging.coco_format.masks import draw
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.sources.cvat._annotations import AnnotatedImage
from dataset_assets.staging.sources.cvat._geometry import box_polygon


class CocoAnnotations:
    """The annotation files of an export, by subset.

    Raises:
        ArchiveCorrupt: a category has different names in two subsets.
    """

    def __init__(self, files: Mapping[str, AnnotationFile]) -> None:
        self._files = files
        self.warnings: Mapping[str, int] = sum(
            (file.warnings for file in files.values()), Counter()
        )
        names = _merge_categories(files)
        self.classes = tuple(ClassLabel(number, name) for number, name in sorted(names.items()))

    def find(self, path: str) -> AnnotatedImage | None:
        """Find an image by its path: with its subset as a folder, or by its name alone."""
        subset, _, name = path.partition("/")
        if subset in self._files and name in self._files[subset].images:
            return AnnotatedImage((subset, name), subset)
        for each, file in self._files.items():
            if path in file.images:
                return AnnotatedImage((each, path), each)
        return None

    def count_missing(self, found: set[Any]) -> int:
        """Count the annotated images that were not found."""
        return sum(len(file.images) for file in self._files.values()) - len(found)

    def document(self, key: tuple[str, str]) -> bytes:
        """Return what is known of an image as JSON: `image` and `annotations`, as exported."""
        subset, name = key
        file = self._files[subset]
        annotations = b", ".join(file.annotations_of(file.images[name].id))
        return b'{"image": ' + file.image_entry(name) + b', "annotations": [' + annotations + b"]}"

    def draw(self, document: Mapping[str, Any], size: tuple[int, int]) -> LabelMap:
        """Draw the annotations of a document into a map of (height, width).

        Raises:
            SampleError: an annotation cannot be drawn.
        """
        label_map = LabelMap(*size)
        draw(label_map, [_with_segmentation(each) for each in document["annotations"]])
        return label_map


def _merge_categories(files: Mapping[str, AnnotationFile]) -> dict[int, str]:
    """Return the name of each category by its id."""
    names: dict[int, str] = {}
    for file in files.values():
        for number, category in file.categories.items():
            name = str(category.get("name", ""))
            if names.setdefault(number, name) != name:
                raise ArchiveCorrupt(
                    f"{file.name}: expected category {number} to be {names[number]!r} as in "
                    f"another subset, got {name!r}; export it again"
                )
    return names


def _with_segmentation(annotation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an annotation with its box as segmentation, if it has no other."""
    if annotation.get("segmentation"):
        return annotation
    box = annotation.get("bbox")
    attributes = annotation.get("attributes")
    rotation = attributes.get("rotation", 0.0) if isinstance(attributes, dict) else 0.0
    polygons = []
    if isinstance(box, list) and len(box) == 4 and _are_numbers([*box, rotation]):
        left, top, width, height = box
        polygons.append(box_polygon(left, top, left + width, top + height, rotation))
    return {**annotation, "segmentation": polygons}


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)
