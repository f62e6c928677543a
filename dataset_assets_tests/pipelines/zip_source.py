"""A small published dataset: a zip of images and label maps, and its source.

The source needs the standard library only.
"""

import json
import random
import zipfile
from collections import Counter
from hashlib import sha256
from typing import ClassVar

import cv2
import numpy as np

from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.pipelines.stage.stage import StageOptions, stage
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import ClassLabel, License, SampleError, StagedSample, StageItem

CLASSES = (
    ClassLabel(1, "cat", "animal", (220, 20, 60)),
    ClassLabel(2, "dog", "animal"),
    ClassLabel(300, "owl"),
)
SMALL = StageOptions(max_shard_samples=4, workers=2)
#: What becomes of some images of every archive, by position.
CUT, REFUSED, WITHOUT_LABELS = 2, 5, 3


def jpeg(number, side=24):
    pixels = np.random.default_rng(number).integers(0, 255, (side, side + number % 5, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def label_map(number, side=24):
    pixels = np.zeros((side, side + number % 5), np.uint16 if number % 7 == 0 else np.uint8)
    pixels[:4], pixels[4:6] = 1, 2
    if number % 7 == 0:
        pixels[8] = 300
    return cv2.imencode(".png", pixels)[1].tobytes()


def write_zip(path, count=12, side=24):
    """Write an archive. Equal arguments give equal bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in random.Random(0).sample(range(count), count):
            image = jpeg(number, side)
            data = image[: len(image) // 2] if number == CUT else image
            archive.writestr(zipfile.ZipInfo(f"images/{number:04d}.jpg"), data)
        for number in range(count):
            if number != WITHOUT_LABELS:
                archive.writestr(
                    zipfile.ZipInfo(f"labels/{number:04d}.png"), label_map(number, side)
                )
        archive.writestr(zipfile.ZipInfo("notes.json"), json.dumps({"images": count}))
    return path


class ZipSource:
    """The zip as a source of samples. Counts what is read of it."""

    kind = "images"
    partitions = ("train", "empty")

    def __init__(self, url, *, redistributable=True, md5_is_right=True):
        self.url, self.license = (
            str(url),
            License("CC BY 4.0", "https://example.org/license", redistributable),
        )
        self.md5_is_right = md5_is_right
        #: Member -> how often it was read.
        self.read = Counter()
        self.kept = 0

    def open(self, partition, access):
        return ZipPartition(self, partition, access)


class ZipPartition:
    """The open zip."""

    columns: ClassVar = {"number": "int32", "caption": "string"}
    parts = ("annotations.json", "seg.png")
    classes = CLASSES

    def __init__(self, source, name, access):
        self.source, self.name = source, name
        self._file = access.open(source.url)
        self._zip = zipfile.ZipFile(self._file)
        infos = sorted(self._zip.infolist(), key=lambda info: info.header_offset)
        self._images = [
            info for info in infos if info.filename.startswith("images/") and name == "train"
        ]
        self._labels = {
            info.filename.rpartition("/")[2][:4]: info
            for info in infos
            if info.filename.startswith("labels/")
        }
        directory = json.dumps([(info.filename, info.CRC, info.file_size) for info in infos])
        self.archives = {"images.zip": sha256(directory.encode()).hexdigest()}
        self.fingerprint = self.archives["images.zip"]
        self.count = len(self._images)
        with access.keep("notes.json", self._notes, self.fingerprint) as notes:
            self._total = json.load(notes)["images"]

    def _notes(self):
        self.source.kept += 1
        return self._zip.open("notes.json")

    def read_items(self, start):
        for index, info in enumerate(self._images[start:], start):
            self.source.read[info.filename] += 1
            labels = self._labels.get(info.filename[-8:-4])
            companions = {labels.filename: self._zip.read(labels)} if labels else {}
            yield StageItem(
                index,
                info.filename,
                "images.zip",
                info.header_offset,
                self._zip.read(info),
                companions,
            )

    def make_sample(self, item):
        number = int(item.path[-8:-4])
        if number == REFUSED:
            raise SampleError(Cause.NOT_IMAGE, "refused by its source")
        parts = {"annotations.json": json.dumps({"number": number, "of": self._total}).encode()}
        counts = {}
        for data in item.companions.values():
            parts["seg.png"] = data
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            counts = {
                int(label): int(np.count_nonzero(pixels == label))
                for label in np.unique(pixels)
                if label
            }
        return StagedSample(
            f"image_{number:04d}",
            "jpg",
            item.payload,
            {"number": number, "caption": f"n° {number}"},
            parts,
            counts,
        )

    def make_objects(self, item):
        yield item.path, item.payload
        yield from item.companions.items()

    def verify_archives(self):
        if not self.source.md5_is_right:
            raise ArchiveCorrupt("images.zip: expected another md5")

    @property
    def warnings(self):
        return {"images without label map": 1}

    def close(self):
        self._zip.close()
        self._file.close()


def run(source, store, options=SMALL, **others):
    return stage(source, store, options, partition="train", **others)


def contents(store):
    """Return the digest of every object of a store; of records, what does not depend on clocks."""
    return {info.key: _timeless(info.key, store.read(info.key)) for info in store.list()}


def _timeless(key, data):
    if not key.endswith("_stats.json"):
        return sha256(data).hexdigest()
    kept = {
        name: value
        for name, value in json.loads(data).items()
        if not name.endswith("time") and name != "duration"
    }
    return json.dumps(kept)
