"""One annotation file in COCO's format: which bytes belong to which image. The file stays where it is, parsed are only the parts that are asked for.

Source: https://cocodataset.org/#format-data
"""

import io
import mmap
from array import array
from collections import Counter
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from dataset_assets.archives.opening import spooled
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.staging._json_elements import Element, elements

_SECTIONS = ("images", "annotations", "categories")
_LARGEST = 1 << 62
UNANNOTATED = "images without annotations"


class ImageEntry(NamedTuple):
    """Where the entry of an image is."""

    id: int
    start: int  # byte
    end: int


class AnnotationFile:
    """An annotation file, read once to find its parts. Afterwards any number of threads may ask."""

    def __init__(self, name: str, data: mmap.mmap) -> None:
        self.name, self._data = name, data
        self.images: dict[str, ImageEntry] = {}  # file name -> entry
        self.categories: dict[int, dict[str, Any]] = {}
        self.warnings: Counter[str] = Counter()
        self._used: Counter[int] = Counter()  # categories of annotations
        self._places = array("q")  # image id, first byte, last byte and one of each annotation
        self._ids = array("q")
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def image(self, file_name: str) -> bytes:
        """Return the entry of an image, as published."""
        _, start, end = self.images[file_name]
        return self._data[start:end]

    def of(self, image_id: int) -> list[bytes]:
        """Return the annotations of an image in the order of the file, as published."""
        first, behind = np.searchsorted(self._image_ids, [image_id, image_id + 1])
        return [self._data[start:end] for start, end in self._spans[first:behind].tolist()]

    def _read(self) -> None:
        seen = set()
        add = {
            "images": self._add_image,
            "annotations": self._add_annotation,
            "categories": self._add_category,
        }
        for element in elements(self._data, self.name):
            seen.add(element.section)
            if element.section in add:
                if not isinstance(element.value, dict):
                    raise ArchiveCorrupt(
                        f"{self.name}: expected an object in {element.section} at byte {element.start:,}"
                    )
                add[element.section](element)
        if "images" not in seen:
            raise ArchiveCorrupt(
                f"{self.name}: expected {', '.join(_SECTIONS)}, as in COCO's files, found {', '.join(sorted(seen)) or 'nothing'}"
            )
        self._sort()

    def _add_image(self, element: Element) -> None:
        number, file_name = _whole(element.value.get("id")), element.value.get("file_name")
        if number is None or not isinstance(file_name, str):
            self.warnings["image entries without id or file name"] += 1
        elif file_name in self.images:
            self.warnings["duplicate image entries"] += 1
        else:
            self.images[file_name] = ImageEntry(number, element.start, element.end)

    def _add_annotation(self, element: Element) -> None:
        value = element.value
        image_id, number, category = (
            _whole(value.get(key)) for key in ("image_id", "id", "category_id")
        )
        if image_id is None:
            self.warnings["annotations without image id"] += 1
            return
        self._places.extend((image_id, element.start, element.end))
        if number is not None:
            self._ids.append(number)
        if category is not None:
            self._used[category] += 1

    def _add_category(self, element: Element) -> None:
        number = _whole(element.value.get("id"))
        if number is None:
            raise ArchiveCorrupt(f"{self.name}: a category without id at byte {element.start:,}")
        self.categories.setdefault(number, element.value)

    def _sort(self) -> None:
        places = np.array(self._places, np.int64).reshape(-1, 3)
        order = np.argsort(places[:, 0], kind="stable")
        self._image_ids, self._spans = places[order, 0], places[order, 1:]
        del self._places
        known = {entry.id for entry in self.images.values()}
        self.warnings["duplicate image ids"] += len(self.images) - len(known)
        ids, counts = np.unique(self._image_ids, return_counts=True)
        stray = ~np.isin(ids, np.fromiter(known, np.int64, len(known)))
        self.warnings["annotations of images without entry"] += int(counts[stray].sum())
        self.warnings[UNANNOTATED] += len(known) - int((~stray).sum())
        self.warnings["duplicate annotation ids"] += len(self._ids) - len(
            np.unique(np.array(self._ids, np.int64))
        )
        self.warnings["annotations of unknown categories"] += sum(
            n for number, n in self._used.items() if number not in self.categories
        )
        del self._ids, self._used
        self.warnings = +self.warnings


def mapped(name: str, file: BinaryIO) -> mmap.mmap:
    """Return a file as memory that the system may drop and read again; one that is elsewhere is copied to a temporary file first.

    Raises:
        ArchiveCorrupt: it is empty.
    """
    with on_disk(file) as local:
        if not local.seek(0, io.SEEK_END):
            raise ArchiveCorrupt(
                f"{name}: expected annotations in JSON, the file is empty; get it again"
            )
        return mmap.mmap(local.fileno(), 0, access=mmap.ACCESS_READ)


def on_disk(file: BinaryIO) -> BinaryIO:
    """Return the file itself where it is one of this machine, else a copy without a name that goes away when it is closed."""
    try:
        file.fileno()
    except (OSError, AttributeError):
        return spooled(file)
    return file


def _whole(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < _LARGEST else None
