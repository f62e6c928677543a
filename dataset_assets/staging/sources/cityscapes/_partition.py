"""An open partition of Cityscapes: images in archive order, each with its label files.

Layout: https://github.com/mcordts/cityscapesScripts#dataset-structure
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from dataset_assets.archives.hashed_file import HashedFile, check_md5
from dataset_assets.archives.published import Archive
from dataset_assets.errors import SourceError
from dataset_assets.records.causes import Cause
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import (
    ArchiveMember,
    ClassLabel,
    SampleError,
    StagedSample,
    StageItem,
)
from dataset_assets.staging.sources.cityscapes._labels import LABELS

_IMAGES = "leftImg8bit"
_SUFFIX = f"_{_IMAGES}.png"
#: End of the name of a label file -> part of the sample. The colored label maps add nothing to the
#: label maps: only layout `objects` has them.
_PARTS = {
    "labelIds.png": "seg.png",
    "instanceIds.png": "instance.png",
    "polygons.json": "annotations.json",
}


class PartitionArchives(NamedTuple):
    """Where the files of a partition are."""

    images: str
    labels: str
    label_kind: str
    """Folder of the label files, which is also part of their names."""


_FINE = PartitionArchives("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip", "gtFine")
_COARSE = PartitionArchives("leftImg8bit_trainextra.zip", "gtCoarse.zip", "gtCoarse")
PARTITIONS = {"train": _FINE, "val": _FINE, "test": _FINE, "train_extra": _COARSE}
ARCHIVES = tuple(sorted({*_FINE[:2], *_COARSE[:2]}))


class VerifiedArchive(NamedTuple):
    """An archive, the file that computes its md5 while it is read, and its published md5."""

    archive: Archive
    file: HashedFile
    md5: str | None


class CityscapesPartition:
    """A partition of Cityscapes."""

    columns: ClassVar[Mapping[str, str]] = {"city": "string", "sequence": "int32", "frame": "int32"}
    parts: ClassVar[tuple[str, ...]] = tuple(_PARTS.values())
    classes: tuple[ClassLabel, ...] = LABELS

    def __init__(self, name: str, images: VerifiedArchive, labels: VerifiedArchive) -> None:
        self.name = name
        self._archives = (images, labels)
        self._images = images.archive
        self._labels = labels.archive
        self._folder = f"{_IMAGES}/{name}/"
        stems = self._find_images()
        self.count = len(stems)
        self._label_files = self._find_label_files()
        without_labels = sum(stem not in self._label_files for stem in stems)
        self.warnings = {"images without label map": without_labels} if without_labels else {}
        # Only a run that starts with the first image reads all bytes, which the md5 needs.
        self._from_begin = True
        self.archives = {each.name: each.digest for each in (self._images, self._labels)}
        inputs = ["cityscapes", name, self.archives, SCHEMA_VERSION]
        self.fingerprint = fingerprint_of(inputs)

    def _find_images(self) -> list[str]:
        """Return the stem of every image: what its path has in common with its label files."""
        members = self._images.members()
        stems = [_stem(member.name) for member in members if self._is_image(member.name)]
        if not stems:
            raise SourceError(
                f"{self._images.name}: expected images "
                f"{self._folder}<city>/<city>_<sequence>_<frame>{_SUFFIX}, found none"
            )
        return stems

    def _is_image(self, path: str) -> bool:
        return path.startswith(self._folder) and path.endswith(_SUFFIX)

    def _find_label_files(self) -> dict[str, list[ArchiveMember]]:
        """Return the label files of each image by its stem, in archive order."""
        kind = PARTITIONS[self.name].label_kind
        found: dict[str, list[ArchiveMember]] = {}
        for member in self._labels.members():
            if not member.name.startswith(f"{kind}/{self.name}/"):
                continue
            # <kind>/<partition>/<city>/<city>_<sequence>_<frame>_<kind>_<what>.<extension>
            stem, marker, _ = member.name.rpartition(f"_{kind}_")
            if marker:
                found.setdefault(stem.removeprefix(f"{kind}/"), []).append(member)
        return found

    def read_items(self, start: int) -> Iterator[StageItem]:
        """Read the images, each with its label files."""
        self._from_begin = start == 0
        for index, (member, payload) in enumerate(self._images.walk(start, self._is_image), start):
            label_files = self._label_files.get(_stem(member.name), [])
            companions = {each.name: self._labels.read(each) for each in label_files}
            yield StageItem(
                index, member.name, self._images.name, member.offset, payload, companions
            )

    def make_sample(self, item: StageItem) -> StagedSample:
        """Name the label files as parts and count the pixels of each label."""
        key = item.path.rpartition("/")[2].removesuffix(_SUFFIX)
        city, sequence, frame = _split_name(key)
        parts = {
            part: data
            for end, part in _PARTS.items()
            for path, data in item.companions.items()
            if path.endswith(f"_{end}")
        }
        counts = _count_labels(parts["seg.png"], key) if "seg.png" in parts else {}
        columns = {"city": city, "sequence": sequence, "frame": frame}
        return StagedSample(key, "png", item.payload, columns, parts, counts)

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """Yield the image and its label files under their published paths."""
        yield item.path, item.payload
        yield from item.companions.items()

    def verify_archives(self) -> None:
        """Compare both archives with the md5 of the site."""
        for archive, file, md5 in self._archives:
            check_md5(archive.name, file, md5, from_begin=self._from_begin)

    def close(self) -> None:
        """Close both archives."""
        for _, file, _ in self._archives:
            file.close()


def _stem(path: str) -> str:
    return path.removeprefix(f"{_IMAGES}/").removesuffix(_SUFFIX)


def _split_name(key: str) -> tuple[str, int, int]:
    """Split `<city>_<sequence>_<frame>`. A city may have underscores and dashes."""
    rest, _, frame = key.rpartition("_")
    city, _, sequence = rest.rpartition("_")
    if not (city and sequence.isdecimal() and frame.isdecimal()):
        raise SampleError(
            Cause.NOT_IMAGE,
            f"expected a name <city>_<sequence>_<frame>{_SUFFIX}, got {key}{_SUFFIX}",
        )
    return city, int(sequence), int(frame)


def _count_labels(png: bytes, key: str) -> dict[int, int]:
    """Return the number of pixels of each label."""
    import cv2

    pixels: Any = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise SampleError(
            Cause.DECODE_ERROR, f"the label map of {key} is no 8-bit image of one channel"
        )
    counts = np.bincount(pixels.ravel(), minlength=256)
    return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}
