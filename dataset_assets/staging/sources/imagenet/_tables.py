"""The tables that come with ImageNet: its 1000 synsets, and the boxes of each image.

Also makes torchvision's `meta.bin` from both.

Source: https://www.kaggle.com/competitions/imagenet-object-localization-challenge/data
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from dataset_assets.archives.published import Archive
from dataset_assets.errors import MissingDependency, ObjectMissing, SourceError, UnreadableSource
from dataset_assets.records.staged import ArchiveMember
from dataset_assets.staging.source import SourceAccess

SYNSETS = "LOC_synset_mapping.txt"
SOLUTIONS = {"train": "LOC_train_solution.csv", "val": "LOC_val_solution.csv"}
#: Words of a box: WordNet id, left, top, right, bottom.
_BOX_WORDS = 5


@dataclass(frozen=True, slots=True)
class Box:
    """Where an object of a class is, in pixels of the image as published."""

    wnid: str
    left: int
    top: int
    right: int
    bottom: int


class Tables:
    """The tables of a copy of ImageNet: from a folder, else from the archive itself."""

    def __init__(self, access: SourceAccess, folder: str, archive: Archive) -> None:
        self._access = access
        self._folder = folder
        self._archive = archive
        self.synsets = read_synsets(self._read(SYNSETS))

    def read_boxes(self, partition: str) -> dict[str, tuple[Box, ...]]:
        """Return the boxes of each image of a partition; {} for test images, which have none."""
        if partition not in SOLUTIONS:
            return {}
        name = SOLUTIONS[partition]
        return read_solution(name, io.StringIO(self._read(name), newline=""), self.synsets)

    def make_meta(self) -> BinaryIO:
        """Return torchvision's `meta.bin`."""
        return io.BytesIO(make_meta_bin(self.synsets, self.read_boxes("val")))

    def _read(self, name: str) -> str:
        try:
            with self._access.open(f"{self._folder}/{name}") as file:
                return file.read().decode()
        except (ObjectMissing, SourceError) as exc:
            for member in list_directory(self._archive):
                if member.name.rpartition("/")[2] == name:
                    return self._archive.read(member).decode()
            raise SourceError(
                f"{name} is neither in {self._folder} nor in {self._archive.name}; "
                f"get it from the data page of Kaggle ({exc})"
            ) from exc


def read_synsets(text: str) -> dict[str, tuple[str, ...]]:
    """Return the names of each synset by its WordNet id, sorted: positions are class indexes.

    Raises:
        UnreadableSource: a line is not `<wnid> <name>, <name>, ...`.
    """
    synsets: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        wnid, _, names = line.strip().partition(" ")
        if not _is_wnid(wnid) or not names:
            raise UnreadableSource(
                f"{SYNSETS}, line {number}: expected a WordNet id and names, such as "
                f"'n01440764 tench', got {line!r}"
            )
        synsets[wnid] = tuple(name.strip() for name in names.split(","))
    if not synsets:
        raise UnreadableSource(f"{SYNSETS}: expected a line for each class, the file is empty")
    return dict(sorted(synsets.items()))


def read_solution(
    name: str, lines: Iterable[str], known: Mapping[str, object]
) -> dict[str, tuple[Box, ...]]:
    """Return the boxes of each image; the first one has its class.

    Raises:
        UnreadableSource: a row is not `ImageId,PredictionString`, or its class is not in `known`.
    """
    rows = csv.reader(lines)
    if next(rows, None) != ["ImageId", "PredictionString"]:
        raise UnreadableSource(f"{name}: expected the columns ImageId,PredictionString")
    boxes = {}
    for number, row in enumerate(rows, 2):
        if row:
            boxes[row[0]] = _read_boxes(f"{name}, line {number}", row, known)
    return boxes


def _read_boxes(place: str, row: Sequence[str], known: Mapping[str, object]) -> tuple[Box, ...]:
    """Read `<wnid> <left> <top> <right> <bottom>` groups; there is at least one."""
    words = row[1].split() if len(row) == 2 else []
    groups = [words[first : first + _BOX_WORDS] for first in range(0, len(words), _BOX_WORDS)]
    try:
        boxes = tuple(Box(wnid, *map(int, numbers)) for wnid, *numbers in groups)
    except (TypeError, ValueError):
        boxes = ()
    got = None if boxes else repr(",".join(row))
    for box in boxes:
        if box.wnid not in known:
            got = f"class {box.wnid}, which {SYNSETS} does not have"
            break
    if got is not None:
        raise UnreadableSource(
            f"{place}: expected an image and '<wnid> <left> <top> <right> <bottom>' groups, "
            f"got {got}"
        )
    return boxes


def make_meta_bin(
    synsets: Mapping[str, tuple[str, ...]], val: Mapping[str, tuple[Box, ...]]
) -> bytes:
    """Return the file `meta.bin` that `torchvision.datasets.ImageNet` reads instead of the devkit.

    It has the names by WordNet id, and the id of each validation image.

    Raises:
        MissingDependency: torch is not installed.
    """
    try:
        import torch
    except ImportError as exc:
        raise MissingDependency(
            "meta.bin is written by torch: pip install 'dataset-assets[torch]', or set "
            "torchvision_meta to false"
        ) from exc
    file = io.BytesIO()
    torch.save((dict(synsets), [val[image][0].wnid for image in sorted(val)]), file)
    return file.getvalue()


def _is_wnid(word: str) -> bool:
    return len(word) == 9 and word[0] == "n" and word[1:].isdecimal()


def list_directory(archive: Archive) -> tuple[ArchiveMember, ...]:
    """Return the members of a zip; () for a tar, where finding a member may take hours."""
    return tuple(archive.members()) if archive.kind == "zip" else ()
