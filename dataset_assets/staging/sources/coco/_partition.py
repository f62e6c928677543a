"""A partition of COCO, opened: images in the order of their archive, each with what the annotation files say about it."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from dataset_assets.archives.hashed_file import check_md5
from dataset_assets.archives.opening import Archive, HashedFile
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import ClassLabel, SampleError, StagedSample, StageItem
from dataset_assets.staging.coco_format.annotations import UNANNOTATED, AnnotationFile
from dataset_assets.staging.coco_format.masks import draw
from dataset_assets.staging.masks.label_map import LabelMap

_ANNOTATIONS, _LABELS, _PANOPTIC = "annotations.json", "seg.png", "panoptic.png"
_DRAWN = ("stuff", "instances")  # in this order: things stand before what surrounds them
_EXTENSIONS = {"JPEG": "jpg", "PNG": "png"}


@dataclass(frozen=True, slots=True)
class CocoFiles:
    """The files of a partition."""

    partition: str
    images: Archive
    annotations: Mapping[str, AnnotationFile]  # by kind; the first one lists the images
    panoptic: Archive | None  # the pictures of kind "panoptic"
    digests: Mapping[str, str]


class CocoPartition:
    """See `_base.Partition`."""

    def __init__(
        self, files: CocoFiles, file: HashedFile, md5: str | None, resources: ExitStack
    ) -> None:
        self.name, self.archives = files.partition, files.digests
        self._images, self._annotations, self._file, self._md5, self._resources = (
            files.images,
            files.annotations,
            file,
            md5,
            resources,
        )
        self._listed = next(iter(files.annotations.values()))
        self._drawn = tuple(kind for kind in _DRAWN if kind in files.annotations)
        self._pictures = _Pictures(files.panoptic)
        self.columns = {"image_id": "int64", "license": "int32", "n_annotations": "int32"} | (
            {"caption": "string"} if "captions" in files.annotations else {}
        )
        self.parts = (
            _ANNOTATIONS,
            *((_PANOPTIC,) if files.panoptic else ()),
            *((_LABELS,) if self._drawn else ()),
        )
        self.classes = _classes(files.annotations.values())
        said = json.dumps(
            ["coco", self.name, list(files.annotations), dict(files.digests), SCHEMA_VERSION]
        )
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()
        self._warnings = dict(_warnings(files.annotations))
        self._from_begin = True
        self.count = self._count() if self._images.kind == "zip" else None

    def _count(self) -> int:
        prefix = f"{self.name}/"
        names = {
            each.name
            for each in self._images.members()
            if each.name.startswith(prefix) and not each.name.endswith("/")
        }
        wanted = set(filter(self._is_wanted, names))
        if not wanted:
            raise ArchiveCorrupt(
                f"{self._images.name}: it has none of the images {prefix}... that {self._listed.name} lists; do they belong together?"
            )
        odd = {
            "files without entry": len(names) - len(wanted),
            "entries without image": len(self._listed.images) - len(wanted),
        }
        odd["images without panoptic picture"] = (
            sum(_stem(name) not in self._pictures for name in wanted) if self._pictures else 0
        )
        self._warnings |= {what: count for what, count in odd.items() if count}
        return len(wanted)

    def _is_wanted(self, path: str) -> bool:
        folder, _, file_name = path.rpartition("/")
        return folder == self.name and file_name in self._listed.images

    def read_items(self, start: int) -> Iterator[StageItem]:
        """See `_base.Partition`."""
        self._from_begin = start == 0
        for index, (member, payload) in enumerate(self._images.walk(start, self._is_wanted), start):
            yield StageItem(
                index,
                member.name,
                self._images.name,
                member.offset,
                payload,
                self._pictures.of(_stem(member.name)),
            )

    def make_sample(self, item: StageItem) -> StagedSample:
        """See `_base.Partition`."""
        file_name = item.path.rpartition("/")[2]
        entry = self._listed.image(file_name)
        image = json.loads(entry)
        found = {
            kind: each.of(self._listed.images[file_name].id)
            for kind, each in self._annotations.items()
        }
        columns = {
            "image_id": image["id"],
            "license": image.get("license"),
            "n_annotations": self._count_of(found),
        }
        if "captions" in found:
            columns["caption"] = next(
                (json.loads(each).get("caption") for each in found["captions"]), None
            )
        parts = {_ANNOTATIONS: _joined(entry, found), **item.companions}
        size, kind = _look_at(item.payload)
        counts: dict[int, int] = {}
        if self._drawn:
            label_map = self._draw(image, found, size)
            parts[_LABELS], counts = label_map.encode(), label_map.counts()
        return StagedSample(
            _stem(item.path),
            _EXTENSIONS.get(kind, kind.lower()),
            item.payload,
            columns,
            parts,
            counts,
        )

    def _count_of(self, found: Mapping[str, Sequence[bytes]]) -> int:
        return len(found.get("instances", next(iter(found.values()))))

    def _draw(
        self, image: Mapping[str, Any], found: Mapping[str, Sequence[bytes]], size: tuple[int, int]
    ) -> LabelMap:
        if (image.get("width"), image.get("height")) != size:
            said = f"{image.get('width')} x {image.get('height')}"
            raise SampleError(
                Cause.DECODE_ERROR,
                f"the image has {size[0]} x {size[1]} pixels, {said} in {self._listed.name}",
            )
        label_map = LabelMap(size[1], size[0])
        for kind in self._drawn:
            draw(label_map, map(json.loads, found[kind]))
        return label_map

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """See `_base.Partition`."""
        yield item.path, item.payload
        for picture in item.companions.values():
            yield f"annotations/panoptic_{self.name}/{_stem(item.path)}.png", picture

    def verify_archives(self) -> None:
        """See `_base.Partition`."""
        check_md5(self._images.name, self._file, self._md5, from_begin=self._from_begin)

    @property
    def warnings(self) -> Mapping[str, int]:
        """See `_base.Partition`."""
        return self._warnings

    def close(self) -> None:
        """See `_base.Partition`."""
        self._resources.close()


class _Pictures:
    """The panoptic pictures of a partition, by the name of their image; none without an archive."""

    def __init__(self, archive: Archive | None) -> None:
        self._archive = archive
        self._members = (
            {_stem(each.name): each for each in archive.members() if each.name.endswith(".png")}
            if archive
            else {}
        )

    def __bool__(self) -> bool:
        return self._archive is not None

    def __contains__(self, stem: str) -> bool:
        return stem in self._members

    def of(self, stem: str) -> dict[str, bytes]:
        """Read the picture of an image, as a companion."""
        return (
            {_PANOPTIC: self._archive.read(self._members[stem])}
            if self._archive is not None and stem in self._members
            else {}
        )


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def _warnings(files: Mapping[str, AnnotationFile]) -> Iterator[tuple[str, int]]:
    """Yield what is odd in annotation files. That not every image has a person or segments is not."""
    for kind, file in files.items():
        odd = (
            (what, count)
            for what, count in file.warnings.items()
            if what != UNANNOTATED or kind in _DRAWN
        )
        yield from ((f"{kind}: {what}", count) for what, count in odd)


def _classes(files: Iterable[AnnotationFile]) -> tuple[ClassLabel, ...]:
    """Return the categories of all files. Only those of kind "panoptic" have colors."""
    found: dict[int, ClassLabel] = {}
    for file in files:
        for number, raw in file.categories.items():
            color = tuple(raw["color"]) if "color" in raw else None
            known = found.get(
                number,
                ClassLabel(
                    number, str(raw.get("name", number)), str(raw.get("supercategory", "")), color
                ),
            )
            found[number] = ClassLabel(number, known.name, known.category, known.color or color)
    return tuple(found[number] for number in sorted(found))


def _joined(image: bytes, found: Mapping[str, Sequence[bytes]]) -> bytes:
    """Return the entry of an image and its annotations of each kind as one JSON object, every part as it was published."""
    lists = [
        f'"{kind}":['.encode() + b",".join(each) + b"]"
        for kind, each in found.items()
        if kind != "image_info"
    ]
    return b"{" + b",".join([b'"image":' + image, *lists]) + b"}"


def _look_at(payload: bytes) -> tuple[tuple[int, int], str]:
    """Return width and height, and what kind of image it is."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload)) as image:
            return image.size, image.format or ""
    except Image.DecompressionBombError as exc:
        raise SampleError(Cause.TOO_MANY_PIXELS, str(exc)) from exc
    except OSError as exc:
        raise SampleError(Cause.NOT_IMAGE, "it is no image, or damaged at its beginning") from exc
