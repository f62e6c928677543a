"""An open partition of ImageNet: images in archive order, with classes and boxes from the tables.

Source: https://www.kaggle.com/competitions/imagenet-object-localization-challenge/data
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import BinaryIO, ClassVar

from dataset_assets.archives.published import Archive
from dataset_assets.errors import SourceError
from dataset_assets.records.causes import Cause
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import ClassLabel, SampleError, StagedSample, StageItem
from dataset_assets.staging.sources.imagenet._tables import SOLUTIONS, SYNSETS, Box, Tables

PARTITIONS = ("train", "val", "test")
_FOLDER = "ILSVRC/Data/CLS-LOC/{}/"
_MAGIC = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png"}
_BOXES = "annotations.json"


class ImagenetPartition:
    """A partition of ImageNet.

    The class index is the position of the WordNet id in sorted order, as in torchvision. A few
    images are PNG or CMYK although their names end in JPEG: they are kept as they are, and the
    column `format` says what they are.
    """

    columns: ClassVar[Mapping[str, str]] = {"wnid": "string", "label": "int32", "format": "string"}
    parts: ClassVar[tuple[str, ...]] = (_BOXES,)
    #: Only reading a tar to its end would tell.
    count = None
    warnings: ClassVar[Mapping[str, int]] = {}

    def __init__(self, name: str, archive: Archive, tables: Tables, file: BinaryIO) -> None:
        self.name = name
        self._archive = archive
        self._file = file
        self._folder = _FOLDER.format(name)
        self._boxes = tables.read_boxes(name)
        self._index = {wnid: index for index, wnid in enumerate(tables.synsets)}
        self.classes = tuple(
            ClassLabel(index, names[0], wnid)
            for index, (wnid, names) in enumerate(tables.synsets.items())
        )
        self.archives = {archive.name: archive.digest}
        self.fingerprint = self._compute_fingerprint()

    def _compute_fingerprint(self) -> str:
        boxes = {
            image: [asdict(box) for box in boxes] for image, boxes in sorted(self._boxes.items())
        }
        inputs = ["imagenet", self.name, self.archives, list(self._index), boxes, SCHEMA_VERSION]
        return fingerprint_of(inputs)

    def _is_image(self, path: str) -> bool:
        return path.startswith(self._folder) and path.upper().endswith(".JPEG")

    def read_items(self, start: int) -> Iterator[StageItem]:
        """Read the images.

        Raises:
            SourceError: the archive has no images of this partition.
        """
        index = start
        for member, payload in self._archive.walk(start, self._is_image):
            yield StageItem(index, member.name, self._archive.name, member.offset, payload)
            index += 1
        if not index:
            raise SourceError(
                f"{self._archive.name}: expected images {self._folder}*.JPEG, found none"
            )

    def make_sample(self, item: StageItem) -> StagedSample:
        """Look up the class and the boxes of an image."""
        # The tables name images without folder and extension.
        key = item.path.rpartition("/")[2].rpartition(".")[0]
        boxes = self._boxes.get(key, ())
        wnid = self._wnid_of(item, boxes)
        label = None if wnid is None else self._index[wnid]
        image_format = _format_of(item.payload)
        parts = {}
        if boxes:
            parts[_BOXES] = json.dumps({"boxes": [asdict(box) for box in boxes]}).encode()
        return StagedSample(
            key,
            image_format,
            item.payload,
            {"wnid": wnid, "label": label, "format": image_format},
            parts,
            {} if label is None else {label: 1},
        )

    def _wnid_of(self, item: StageItem, boxes: tuple[Box, ...]) -> str | None:
        """Return the class of an image; None for test images, whose classes are not published.

        Training images are in a folder for each class; that of a validation image is in its boxes.
        """
        if self.name == "train":
            wnid = item.path.split("/")[-2]
            if wnid not in self._index:
                raise SampleError(Cause.NOT_IMAGE, f"its folder {wnid} is no class of {SYNSETS}")
            return wnid
        if boxes:
            return boxes[0].wnid
        if self.name == "val":
            raise SampleError(Cause.NOT_IMAGE, f"{SOLUTIONS['val']} has no class for it")
        return None

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """Yield the image under its published path."""
        yield item.path, item.payload

    def verify_archives(self) -> None:
        """Do nothing: Kaggle publishes no checksum.

        The members of a zip and the stream of a tar.gz have a CRC-32, which was checked.
        """

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


def _format_of(payload: bytes) -> str:
    for magic, name in _MAGIC.items():
        if payload.startswith(magic):
            return name
    return "jpeg"
