"""The tables that come with ImageNet: its 1000 synsets, and which of them each image shows. And torchvision's `meta.bin`, made of both.

Source: the data page of https://www.kaggle.com/competitions/imagenet-object-localization-challenge
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dataset_assets.errors import MissingDependency, UnreadableSource

SYNSETS = "LOC_synset_mapping.txt"
SOLUTIONS = {"train": "LOC_train_solution.csv", "val": "LOC_val_solution.csv"}
_BOX = 5  # words: wnid, left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Box:
    """Where an object of a class is, in pixels of the image as published."""

    wnid: str
    left: int
    top: int
    right: int
    bottom: int


def read_synsets(text: str) -> dict[str, tuple[str, ...]]:
    """Return the names of each synset, by its WordNet id, sorted: the place in the order is the class index.

    Raises:
        UnreadableSource: a line is not `<wnid> <name>, <name>, ...`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        wnid, _, names = line.strip().partition(" ")
        if not _is_wnid(wnid) or not names:
            raise UnreadableSource(
                f"{SYNSETS}, line {number}: expected a WordNet id and names, such as 'n01440764 tench', came {line!r}"
            )
        found[wnid] = tuple(name.strip() for name in names.split(","))
    if not found:
        raise UnreadableSource(f"{SYNSETS}: expected a line for each class, the file is empty")
    return dict(sorted(found.items()))


def read_solution(
    name: str, lines: Iterable[str], known: Mapping[str, object]
) -> dict[str, tuple[Box, ...]]:
    """Return the boxes of each image; the first one names its class.

    Raises:
        UnreadableSource: a row is not `ImageId,PredictionString`, or names a class that is not in the table of synsets.
    """
    rows = csv.reader(lines)
    if next(rows, None) != ["ImageId", "PredictionString"]:
        raise UnreadableSource(f"{name}: expected the columns ImageId,PredictionString")
    return {row[0]: _boxes(name, number, row, known) for number, row in enumerate(rows, 2) if row}


def _boxes(
    name: str, number: int, row: Sequence[str], known: Mapping[str, object]
) -> tuple[Box, ...]:
    words = row[1].split() if len(row) == 2 else []
    groups = [words[first : first + _BOX] for first in range(0, len(words), _BOX)]
    try:
        boxes = tuple(
            Box(wnid, int(left), int(top), int(right), int(bottom))
            for wnid, left, top, right, bottom in groups
        )
    except ValueError:
        boxes = ()
    if not boxes or (unknown := [box.wnid for box in boxes if box.wnid not in known]):
        what = (
            f"class {unknown[0]}, which {SYNSETS} does not have" if boxes else repr(",".join(row))
        )
        raise UnreadableSource(
            f"{name}, line {number}: expected an image and '<wnid> <left> <top> <right> <bottom>' groups, came {what}"
        )
    return boxes


def meta_bin(synsets: Mapping[str, tuple[str, ...]], val: Mapping[str, tuple[Box, ...]]) -> bytes:
    """Return the file `meta.bin` that `torchvision.datasets.ImageNet` reads instead of the devkit: names by WordNet id, and the id of each validation image.

    Raises:
        MissingDependency: torch is not installed.
    """
    try:
        import torch
    except ImportError as exc:
        raise MissingDependency(
            "meta.bin is written by torch: pip install 'dataset-assets[torch]', or set torchvision_meta to false"
        ) from exc
    file = io.BytesIO()
    torch.save((dict(synsets), [val[image][0].wnid for image in sorted(val)]), file)
    return file.getvalue()


def _is_wnid(word: str) -> bool:
    return len(word) == 9 and word[0] == "n" and word[1:].isdecimal()
