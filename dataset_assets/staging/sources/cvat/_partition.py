"""An open partition of CVAT: images of an export in archive order, each with its annotations."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from dataset_assets.errors import UnreadableSource
from dataset_assets.records.causes import Cause
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import SampleError, StagedSample, StageItem
from dataset_assets.staging.image_info import read_image_info
from dataset_assets.staging.sources.cvat._annotations import AnnotatedImage
from dataset_assets.staging.sources.cvat._export import Export

_ANNOTATIONS = "annotations.json"
_LABELS = "seg.png"
_EXTENSIONS = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "BMP": "bmp",
    "WEBP": "webp",
    "GIF": "gif",
    "TIFF": "tif",
    "PPM": "ppm",
}


class CvatPartition:
    """A partition of CVAT."""

    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "subset": "string",
        "task_id": "int64",
        "n_shapes": "int32",
        "tags": "string",
    }
    parts: ClassVar[tuple[str, ...]] = (_ANNOTATIONS, _LABELS)

    def __init__(
        self,
        name: str,
        export: Export,
        subset: str | None,
        line_width: float,
        resources: ExitStack,
    ) -> None:
        self.name = name
        self.archives = export.digests
        self._images = export.images
        self._annotations = export.annotations
        self._paths = export.paths
        self._resources = resources
        self.classes = export.annotations.classes
        self._ids = {label.name: label.id for label in self.classes}
        self._found = self._find_images()
        self.warnings = self._count_irregularities()
        if subset is not None:
            self._found = {
                path: found
                for path, found in self._found.items()
                if found is not None and found.subset == subset
            }
        self._check_not_empty(subset)
        self.count = len(self._found)
        inputs = ["cvat", name, subset, [line_width], self.archives, SCHEMA_VERSION]
        self.fingerprint = fingerprint_of(inputs)

    def _find_images(self) -> dict[str, AnnotatedImage | None]:
        """Return what the annotations know of each image in the archive."""
        found = {path: self._annotations.find(name) for path, name in self._paths.items()}
        keys = [each.key for each in found.values() if each is not None]
        if len(set(keys)) != len(keys):
            raise UnreadableSource(
                f"{self._images.name}: expected one file for each annotated image, "
                "got two for one; remove one of them"
            )
        return found

    def _count_irregularities(self) -> dict[str, int]:
        keys = {found.key for found in self._found.values() if found is not None}
        warnings = dict(self._annotations.warnings)
        if without_file := self._annotations.count_missing(keys):
            warnings["images without picture"] = without_file
        if without_annotations := len(self._found) - len(keys):
            warnings["pictures without annotations"] = without_annotations
        return warnings

    def _check_not_empty(self, subset: str | None) -> None:
        if not self._found:
            of_subset = "" if subset is None else f" of subset {subset!r}"
            raise UnreadableSource(
                f"{self._images.name}: expected images{of_subset}, found none; "
                "export with images, or say where they are with `images`"
            )

    def read_items(self, start: int) -> Iterator[StageItem]:
        """Read the images, each with its document as companion, if it has one."""
        walk = self._images.walk(start, self._found.__contains__)
        for index, (member, payload) in enumerate(walk, start):
            found = self._found[member.name]
            companions = {}
            if found is not None:
                companions[_ANNOTATIONS] = self._annotations.document(found.key)
            yield StageItem(
                index, member.name, self._images.name, member.offset, payload, companions
            )

    def make_sample(self, item: StageItem) -> StagedSample:
        """Draw the shapes of an image and count them."""
        # Labels are drawn on the image as shown, because CVAT applies the EXIF orientation.
        info = read_image_info(item.payload, is_rotated=True)
        if info.format not in _EXTENSIONS:
            raise SampleError(
                Cause.UNSUPPORTED_FORMAT,
                f"expected one of {', '.join(_EXTENSIONS)}, got {info.format}",
            )
        text = item.companions.get(_ANNOTATIONS) or _empty_document(self._paths[item.path])
        document = json.loads(text)
        _check_size(document["image"], info.width, info.height)
        label_map = self._annotations.draw(document, (info.height, info.width))
        tags = _tags_of(document)
        counts = {self._ids[tag]: 1 for tag in tags if tag in self._ids}
        counts |= label_map.count_pixels()
        # Positions are the keys: names may repeat between subsets, and may have dots and spaces.
        return StagedSample(
            f"{item.index:06d}",
            _EXTENSIONS[info.format],
            item.payload,
            self._column_values(item.path, document, tags),
            {_ANNOTATIONS: text, _LABELS: label_map.encode()},
            counts,
        )

    def _column_values(
        self, path: str, document: Mapping[str, Any], tags: Sequence[str]
    ) -> dict[str, Any]:
        found = self._found[path]
        shapes = len(document.get("shapes", [])) - len(tags)
        return {
            "image_id": document["image"].get("id"),
            "subset": "" if found is None else found.subset,
            "task_id": document["image"].get("task_id"),
            "n_shapes": shapes + len(document.get("annotations", [])),
            "tags": json.dumps(tags, ensure_ascii=False),
        }

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """Yield the image and its document, below a folder of the partition."""
        yield f"{self.name}/{item.path}", item.payload
        for name, data in item.companions.items():
            yield f"{self.name}/{item.path}.{name}", data

    def verify_archives(self) -> None:
        """Do nothing: exports have no checksum, and the CRC-32 of each member was checked."""

    def close(self) -> None:
        """Close the archives and the annotations."""
        self._resources.close()


def _tags_of(document: Mapping[str, Any]) -> list[str]:
    """Return the labels of the whole image."""
    shapes = document.get("shapes", [])
    return [shape.get("label", "") for shape in shapes if shape["type"] == "tag"]


def _check_size(image: Mapping[str, Any], width: int, height: int) -> None:
    annotated = (image.get("width", width), image.get("height", height))
    if annotated != (width, height):
        raise SampleError(
            Cause.DECODE_ERROR,
            f"the image has {width} x {height} pixels, but its annotations "
            f"{annotated[0]} x {annotated[1]}",
        )


def _empty_document(name: str) -> bytes:
    """Return the document of an image without annotations."""
    document = {"image": {"name": name}, "shapes": [], "annotations": []}
    return json.dumps(document, ensure_ascii=False).encode()
