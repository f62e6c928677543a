"""Cityscapes: street scenes with label maps, one sample per image, from the archives that the site gives after a login, or from copies of them.

A sample is the image as published, `seg.png` (labelIds), `instance.png` (instanceIds) and `annotations.json` (the polygons), byte for byte.
The license forbids to pass the data on: what is made of it is never published.
Layout: https://github.com/mcordts/cityscapesScripts#dataset-structure
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dataset_assets.archives.hashed_file import check_md5
from dataset_assets.archives.opening import Archive, HashedFile, open_archive
from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import (
    ArchiveMember,
    ClassLabel,
    License,
    SampleError,
    StagedSample,
    StageItem,
)
from dataset_assets.staging.source import SourceAccess
from dataset_assets.staging.sources.cityscapes._labels import LABELS
from dataset_assets.staging.sources.cityscapes._site import SITE, CityscapesSite

#: partition -> (archive of the images, archive of the labels, what the names of label files say)
PARTITIONS = {
    "train": ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip", "gtFine"),
    "val": ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip", "gtFine"),
    "test": ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip", "gtFine"),
    "train_extra": ("leftImg8bit_trainextra.zip", "gtCoarse.zip", "gtCoarse"),
}
#: end of a label file's name -> part of the sample. The coloured maps only repeat the label maps: they stay in the layout `objects`.
_PARTS = {
    "labelIds.png": "seg.png",
    "instanceIds.png": "instance.png",
    "polygons.json": "annotations.json",
}
_IMAGES = "leftImg8bit"
_SUFFIX = f"_{_IMAGES}.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class CityscapesOptions:
    """Which parts of Cityscapes, and where its archives are.

    Raises:
        ConfigurationError: an unknown partition or archive.
    """

    partitions: tuple[str, ...] = ("train", "val")
    folder: str | None = (
        None  # path or url that has the archives under their published names; None: the site
    )
    archives: Mapping[str, str] = field(
        default_factory=dict
    )  # name -> path or url of a single copy
    site: str = SITE

    def location(self, archive: str) -> str | None:
        """Return the path or url of a copy of an archive; None: it comes from the site."""
        return self.archives.get(
            archive, f"{self.folder.rstrip('/')}/{archive}" if self.folder else None
        )

    def __post_init__(self) -> None:
        if not self.partitions or (unknown := set(self.partitions) - PARTITIONS.keys()):
            came = ", ".join(sorted(unknown)) if self.partitions else "none"
            raise ConfigurationError(
                f"partitions: expected some of {', '.join(PARTITIONS)}, came {came}"
            )
        known = sorted(
            {name for images, labels, _ in PARTITIONS.values() for name in (images, labels)}
        )
        if wrong := sorted(self.archives.keys() - set(known)):
            raise ConfigurationError(
                f"archives: expected names of {', '.join(known)}, came {', '.join(wrong)}"
            )


class Source:
    """See `_base.Source`. Needs CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD, unless every archive is given as a path."""

    kind = "cityscapes"
    options_class = CityscapesOptions
    license = License(
        "Cityscapes license", "https://www.cityscapes-dataset.com/license/", redistributable=False
    )

    def __init__(self, options: CityscapesOptions | None = None) -> None:
        self.options = options or CityscapesOptions()
        self.partitions = self.options.partitions

    def open(self, partition: str, access: SourceAccess) -> "CityscapesPartition":
        """See `_base.Source`."""
        images, labels, _ = PARTITIONS[partition]
        opened: list[tuple[Archive, HashedFile, str | None]] = []
        site: CityscapesSite | None = None
        for name in (images, labels):
            md5, url = None, self.options.location(name)
            if url is None:
                site = site or self._log_in(access)
                package = site.package(name)
                md5, url = package.md5, package.url
            file = HashedFile(access.open(url))
            opened.append((open_archive(file, name), file, md5))
        return CityscapesPartition(partition, opened)

    def _log_in(self, access: SourceAccess) -> CityscapesSite:
        username, password = (
            access.secret("CITYSCAPES_USERNAME"),
            access.secret("CITYSCAPES_PASSWORD"),
        )
        return CityscapesSite(access.session(), username, password, site=self.options.site)


class CityscapesPartition:
    """See `_base.Partition`."""

    columns: ClassVar[Mapping[str, str]] = {"city": "string", "sequence": "int32", "frame": "int32"}
    parts: ClassVar[tuple[str, ...]] = tuple(_PARTS.values())
    classes: tuple[ClassLabel, ...] = LABELS

    def __init__(self, name: str, archives: list[tuple[Archive, HashedFile, str | None]]) -> None:
        self.name, self._archives = name, archives
        self._images, self._labels = archives[0][0], archives[1][0]
        self._folder = f"{_IMAGES}/{name}/"
        stems = [
            self._stem(member.name)
            for member in self._images.members()
            if self._is_image(member.name)
        ]
        self.count = len(stems)
        if not stems:
            raise SourceError(
                f"{self._images.name}: expected images {self._folder}<city>/<city>_<sequence>_<frame>{_SUFFIX}, found none"
            )
        self._companions = self._find_companions()
        self._from_begin = True
        self._without_labels = sum(stem not in self._companions for stem in stems)
        self.archives = {archive.name: archive.digest for archive, _, _ in archives}
        self.fingerprint = hashlib.sha256(
            json.dumps(["cityscapes", name, self.archives, SCHEMA_VERSION]).encode()
        ).hexdigest()

    def _is_image(self, path: str) -> bool:
        return path.startswith(self._folder) and path.endswith(_SUFFIX)

    @staticmethod
    def _stem(path: str) -> str:
        return path.removeprefix(f"{_IMAGES}/").removesuffix(_SUFFIX)

    def _find_companions(self) -> dict[str, list[ArchiveMember]]:
        """Return the label files of each image, by what their names have in common, in archive order."""
        kind = PARTITIONS[self.name][2]
        found: dict[str, list[ArchiveMember]] = {}
        for member in self._labels.members():
            if member.name.startswith(f"{kind}/{self.name}/"):
                stem, marker, _ = member.name.rpartition(f"_{kind}_")
                if marker:
                    found.setdefault(stem.removeprefix(f"{kind}/"), []).append(member)
        return found

    def read_items(self, start: int) -> Iterator[StageItem]:
        """See `_base.Partition`."""
        self._from_begin = start == 0
        for index, (member, payload) in enumerate(self._images.walk(start, self._is_image), start):
            companions = {
                each.name: self._labels.read(each)
                for each in self._companions.get(self._stem(member.name), [])
            }
            yield StageItem(
                index, member.name, self._images.name, member.offset, payload, companions
            )

    def make_sample(self, item: StageItem) -> StagedSample:
        """See `_base.Partition`."""
        key = item.path.rpartition("/")[2].removesuffix(_SUFFIX)
        city, sequence, frame = _name_parts(key)
        parts = {
            part: data
            for end, part in _PARTS.items()
            for path, data in item.companions.items()
            if path.endswith(f"_{end}")
        }
        counts = _label_counts(parts["seg.png"], key) if "seg.png" in parts else {}
        return StagedSample(
            key,
            "png",
            item.payload,
            {"city": city, "sequence": sequence, "frame": frame},
            parts,
            counts,
        )

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """See `_base.Partition`."""
        yield item.path, item.payload
        yield from item.companions.items()

    @property
    def warnings(self) -> dict[str, int]:
        """See `_base.Partition`."""
        return {"images without label map": self._without_labels} if self._without_labels else {}

    def verify_archives(self) -> None:
        """See `_base.Partition`."""
        for archive, file, md5 in self._archives:
            check_md5(archive.name, file, md5, from_begin=self._from_begin)

    def close(self) -> None:
        """See `_base.Partition`."""
        for _, file, _ in self._archives:
            file.close()


def _name_parts(key: str) -> tuple[str, int, int]:
    """Split `<city>_<sequence>_<frame>`; a city may have underscores and dashes."""
    city, _, rest = key.rpartition("_")
    city, _, sequence = city.rpartition("_")
    if not (city and sequence.isdecimal() and rest.isdecimal()):
        raise SampleError(
            Cause.NOT_IMAGE,
            f"expected a name <city>_<sequence>_<frame>{_SUFFIX}, came {key}{_SUFFIX}",
        )
    return city, int(sequence), int(rest)


def _label_counts(png: bytes, key: str) -> dict[int, int]:
    """Return how many pixels have each label."""
    import cv2

    pixels: Any = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise SampleError(
            Cause.DECODE_ERROR, f"the label map of {key} is no 8-bit image of one channel"
        )
    counts = np.bincount(pixels.ravel(), minlength=256)
    return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}
