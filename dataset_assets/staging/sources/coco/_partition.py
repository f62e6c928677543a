"""An open partition of COCO: images in archive order, each with what annotation files say of it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from dataset_assets.archives.hashed_file import HashedFile, check_md5
from dataset_assets.archives.published import Archive
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.records.causes import Cause
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import ClassLabel, SampleError, StagedSample, StageItem
from dataset_assets.staging.coco_format.annotations import UNANNOTATED, AnnotationFile
from dataset_assets.staging.coco_format.masks import draw
from dataset_assets.staging.image_info import ImageInfo, read_image_info
from dataset_assets.staging.masks.label_map import LabelMap

_ANNOTATIONS = "annotations.json"
_LABELS = "seg.png"
_PANOPTIC = "panoptic.png"
#: Kinds of annotations that are drawn, in this order: things cover the stuff around them.
_DRAWN = ("stuff", "instances")
_EXTENSIONS = {"JPEG": "jpg", "PNG": "png"}


@dataclass(frozen=True, slots=True)
class CocoFiles:
    """The files of a partition."""

    partition: str
    images: Archive
    annotations: Mapping[str, AnnotationFile]
    """By kind. The first one lists the images."""
    panoptic: Archive | None
    """The panoptic segmentations, as PNG; None when they are not staged."""
    digests: Mapping[str, str]


class CocoPartition:
    """A partition of COCO."""

    def __init__(
        self, files: CocoFiles, file: HashedFile, md5: str | None, resources: ExitStack
    ) -> None:
        self.name = files.partition
        self.archives = files.digests
        self._images = files.images
        self._annotations = files.annotations
        self._file = file
        self._md5 = md5
        self._resources = resources
        self._listing = next(iter(files.annotations.values()))
        self._drawn = tuple(kind for kind in _DRAWN if kind in files.annotations)
        self._panoptic = files.panoptic
        self._segmentations = _index_by_stem(files.panoptic)
        self.columns = _columns(files.annotations)
        self.parts = self._parts()
        self.classes = _merge_categories(files.annotations.values())
        inputs = ["coco", self.name, list(files.annotations), dict(files.digests), SCHEMA_VERSION]
        self.fingerprint = fingerprint_of(inputs)
        self.warnings: Mapping[str, int] = dict(_count_irregularities(files.annotations))
        # Only a run that starts with the first image reads all bytes, which the md5 needs.
        self._from_begin = True
        self.count: int | None = None
        # A tar has no directory: its images are matched while it is read.
        if self._images.kind == "zip":
            self._match_directory()

    def _parts(self) -> tuple[str, ...]:
        parts = [_ANNOTATIONS]
        if self._panoptic is not None:
            parts.append(_PANOPTIC)
        if self._drawn:
            parts.append(_LABELS)
        return tuple(parts)

    def _match_directory(self) -> None:
        """Compare the directory of the archive with the list of images; count both ways."""
        prefix = f"{self.name}/"
        names = {
            member.name
            for member in self._images.members()
            if member.name.startswith(prefix) and not member.name.endswith("/")
        }
        wanted = {name for name in names if self._is_wanted(name)}
        if not wanted:
            raise ArchiveCorrupt(
                f"{self._images.name}: it has none of the images {prefix}... that "
                f"{self._listing.name} lists; check that the archives belong together"
            )
        mismatches = {
            "files without entry": len(names) - len(wanted),
            "entries without image": len(self._listing.images) - len(wanted),
        }
        if self._panoptic is not None:
            mismatches["images without panoptic picture"] = sum(
                _stem(name) not in self._segmentations for name in wanted
            )
        found = {what: count for what, count in mismatches.items() if count}
        self.warnings = {**self.warnings, **found}
        self.count = len(wanted)

    def _is_wanted(self, path: str) -> bool:
        folder, _, file_name = path.rpartition("/")
        return folder == self.name and file_name in self._listing.images

    def read_items(self, start: int) -> Iterator[StageItem]:
        """Read the listed images, each with its panoptic segmentation."""
        self._from_begin = start == 0
        for index, (member, payload) in enumerate(self._images.walk(start, self._is_wanted), start):
            yield StageItem(
                index,
                member.name,
                self._images.name,
                member.offset,
                payload,
                self._read_segmentation(_stem(member.name)),
            )

    def _read_segmentation(self, stem: str) -> dict[str, bytes]:
        """Return the panoptic segmentation of an image as a companion, if there is one."""
        if self._panoptic is None or stem not in self._segmentations:
            return {}
        return {_PANOPTIC: self._panoptic.read(self._segmentations[stem])}

    def make_sample(self, item: StageItem) -> StagedSample:
        """Collect the annotations of an image and draw its label map."""
        file_name = item.path.rpartition("/")[2]
        entry = self._listing.image_entry(file_name)
        image = json.loads(entry)
        image_id = self._listing.images[file_name].id
        annotations = {
            kind: file.annotations_of(image_id) for kind, file in self._annotations.items()
        }
        info = read_image_info(item.payload)
        parts = {_ANNOTATIONS: _join_annotations(entry, annotations), **item.companions}
        counts: dict[int, int] = {}
        if self._drawn:
            label_map = self._draw(image, annotations, info)
            parts[_LABELS] = label_map.encode()
            counts = label_map.count_pixels()
        return StagedSample(
            _stem(item.path),
            _EXTENSIONS.get(info.format, info.format.lower()),
            item.payload,
            _column_values(image, annotations),
            parts,
            counts,
        )

    def _draw(
        self,
        image: Mapping[str, Any],
        annotations: Mapping[str, Sequence[bytes]],
        info: ImageInfo,
    ) -> LabelMap:
        listed = (image.get("width"), image.get("height"))
        if listed != (info.width, info.height):
            raise SampleError(
                Cause.DECODE_ERROR,
                f"the image has {info.width} x {info.height} pixels, "
                f"{listed[0]} x {listed[1]} in {self._listing.name}",
            )
        label_map = LabelMap(info.height, info.width)
        for kind in self._drawn:
            draw(label_map, map(json.loads, annotations[kind]))
        return label_map

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """Yield the image under its path, and its segmentation as the published folder has it."""
        yield item.path, item.payload
        for segmentation in item.companions.values():
            yield f"annotations/panoptic_{self.name}/{_stem(item.path)}.png", segmentation

    def verify_archives(self) -> None:
        """Compare the archive of images with its md5."""
        check_md5(self._images.name, self._file, self._md5, from_begin=self._from_begin)

    def close(self) -> None:
        """Close all archives and annotation files."""
        self._resources.close()


def _index_by_stem(archive: Archive | None) -> dict[str, Any]:
    """Return the PNG members of an archive by the stem of the image that they belong to."""
    if archive is None:
        return {}
    return {
        _stem(member.name): member for member in archive.members() if member.name.endswith(".png")
    }


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def _merge_categories(files: Iterable[AnnotationFile]) -> tuple[ClassLabel, ...]:
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


def _columns(annotations: Mapping[str, AnnotationFile]) -> dict[str, str]:
    columns = {"image_id": "int64", "license": "int32", "n_annotations": "int32"}
    if "captions" in annotations:
        columns["caption"] = "string"
    return columns


def _column_values(
    image: Mapping[str, Any], annotations: Mapping[str, Sequence[bytes]]
) -> dict[str, Any]:
    """Return the columns of an image; `n_annotations` counts instances, else the first kind."""
    counted = annotations.get("instances", next(iter(annotations.values())))
    values = {
        "image_id": image["id"],
        "license": image.get("license"),
        "n_annotations": len(counted),
    }
    if "captions" in annotations:
        captions = annotations["captions"]
        values["caption"] = json.loads(captions[0]).get("caption") if captions else None
    return values


def _count_irregularities(files: Mapping[str, AnnotationFile]) -> Iterator[tuple[str, int]]:
    """Yield the warnings of annotation files.

    That an image has no annotations is one only for the kinds that are drawn: not every image
    shows a person, for example.
    """
    for kind, file in files.items():
        for what, count in file.warnings.items():
            if what != UNANNOTATED or kind in _DRAWN:
                yield f"{kind}: {what}", count


def _join_annotations(image: bytes, annotations: Mapping[str, Sequence[bytes]]) -> bytes:
    """Return an image entry and its annotations of each kind as one JSON object.

    Every part is copied byte for byte. The kind "image_info" is the list of images itself.
    """
    lists = [
        f'"{kind}":['.encode() + b",".join(each) + b"]"
        for kind, each in annotations.items()
        if kind != "image_info"
    ]
    return b"{" + b",".join([b'"image":' + image, *lists]) + b"}"
