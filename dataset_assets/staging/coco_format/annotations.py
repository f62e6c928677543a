"""One annotation file in COCO's format: which of its bytes belong to which image.

The file stays where it is and is mapped into memory; only the entries that are asked for are
parsed.

Spec: https://cocodataset.org/#format-data
"""

import io
import mmap
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from dataset_assets.archives.opening import spool
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.json_stream import JsonError, JsonStream

_SECTIONS = ("images", "annotations", "categories")
_MAX_ID = 1 << 62
_LARGEST_ELEMENT = 1 << 28  # bytes
UNANNOTATED = "images without annotations"


class Element(NamedTuple):
    """An element of a list of the document, or the value of a key that has no list."""

    section: str  # the key
    value: Any
    start: int  # byte
    end: int


class ImageEntry(NamedTuple):
    """Where the entry of an image is in the file."""

    id: int
    start: int
    """First byte."""
    end: int
    """Last byte and one."""


class AnnotationFile:
    """An annotation file, read once to find its parts. Reading entries is thread-safe.

    `images` has the entries by file name, `categories` the category objects by id, and `warnings`
    counts of irregularities.

    Raises:
        ArchiveCorrupt: it is not JSON, or not in COCO's format.
    """

    def __init__(self, name: str, data: mmap.mmap) -> None:
        self.name = name
        self._data = data
        self.images: dict[str, ImageEntry] = {}
        self.categories: dict[int, dict[str, Any]] = {}
        self.warnings: Counter[str] = Counter()
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def image_entry(self, file_name: str) -> bytes:
        """Return the entry of an image, as published."""
        _, start, end = self.images[file_name]
        return self._data[start:end]

    def annotations_of(self, image_id: int) -> list[bytes]:
        """Return the annotations of an image in the order of the file, as published."""
        first, end = np.searchsorted(self._image_ids, [image_id, image_id + 1])
        return [self._data[start:stop] for start, stop in self._spans[first:end].tolist()]

    def _read(self) -> None:
        sections = set()
        annotations = _Annotations()
        for element in elements(self._data, self.name):
            sections.add(element.section)
            if element.section not in _SECTIONS:
                continue
            if not isinstance(element.value, dict):
                raise ArchiveCorrupt(
                    f"{self.name}: expected an object in {element.section} at byte "
                    f"{element.start:,}, got {type(element.value).__name__}; get the file again"
                )
            if element.section == "images":
                self._add_image(element)
            elif element.section == "categories":
                self._add_category(element)
            elif not annotations.add(element):
                self.warnings["annotations without image id"] += 1
        if "images" not in sections:
            raise ArchiveCorrupt(
                f"{self.name}: expected {', '.join(_SECTIONS)}, as in COCO's files, "
                f"found {', '.join(sorted(sections)) or 'nothing'}"
            )
        self._index(annotations)

    def _add_image(self, element: Element) -> None:
        number = _as_id(element.value.get("id"))
        file_name = element.value.get("file_name")
        if number is None or not isinstance(file_name, str):
            self.warnings["image entries without id or file name"] += 1
        elif file_name in self.images:
            self.warnings["duplicate image entries"] += 1
        else:
            self.images[file_name] = ImageEntry(number, element.start, element.end)

    def _add_category(self, element: Element) -> None:
        number = _as_id(element.value.get("id"))
        if number is None:
            raise ArchiveCorrupt(
                f"{self.name}: expected a category with an id at byte {element.start:,}, got none"
            )
        self.categories.setdefault(number, element.value)

    def _index(self, annotations: "_Annotations") -> None:
        """Sort the annotations by image, and count what does not fit together."""
        self._image_ids, self._spans = annotations.sorted_by_image()
        known = {entry.id for entry in self.images.values()}
        self.warnings["duplicate image ids"] += len(self.images) - len(known)
        ids, counts = np.unique(self._image_ids, return_counts=True)
        is_stray = ~np.isin(ids, np.fromiter(known, np.int64, len(known)))
        self.warnings["annotations of images without entry"] += int(counts[is_stray].sum())
        self.warnings[UNANNOTATED] += len(known) - int((~is_stray).sum())
        self.warnings["duplicate annotation ids"] += annotations.count_duplicate_ids()
        self.warnings["annotations of unknown categories"] += sum(
            count
            for category, count in annotations.categories.items()
            if category not in self.categories
        )
        # Only what is above 0.
        self.warnings = +self.warnings


class _Annotations:
    """Places and ids of all annotations while a file is read, as numbers: there are millions."""

    def __init__(self) -> None:
        self.categories: Counter[int] = Counter()
        #: Image id, first byte, last byte and one of each annotation.
        self._places = array("q")
        self._ids = array("q")

    def add(self, element: Element) -> bool:
        """Add an annotation; return False when it has no image id."""
        value = element.value
        image_id = _as_id(value.get("image_id"))
        if image_id is None:
            return False
        self._places.extend((image_id, element.start, element.end))
        number = _as_id(value.get("id"))
        if number is not None:
            self._ids.append(number)
        category = _as_id(value.get("category_id"))
        if category is not None:
            self.categories[category] += 1
        return True

    def sorted_by_image(self) -> tuple[Any, Any]:
        """Return image ids (n) and byte ranges (n, 2), int64, in file order within an image."""
        places = np.array(self._places, np.int64).reshape(-1, 3)
        order = np.argsort(places[:, 0], kind="stable")
        return places[order, 0], places[order, 1:]

    def count_duplicate_ids(self) -> int:
        """Count the ids that another annotation has too."""
        return len(self._ids) - len(np.unique(np.array(self._ids, np.int64)))


def elements(data: bytes | mmap.mmap, name: str) -> Iterator[Element]:
    """Yield the elements of all lists of a document, in its order.

    Needs a few MiB of memory, or several times the size of the largest element.

    Raises:
        ArchiveCorrupt: it is no JSON object in UTF-8, is truncated, or has an element that is too
            large.
    """
    stream = JsonStream.of_bytes(data, largest=_LARGEST_ELEMENT)
    try:
        for section in stream.read_keys():
            values = stream.read_array() if stream.peek() == "[" else [stream.read_value()]
            for value in values:
                yield Element(section, *value)
        stream.check_end()
    except JsonError as exc:
        raise ArchiveCorrupt(
            f"{name}: expected {exc.expected} at byte {exc.position:,} of {len(data):,}, "
            f"got {exc.got}; it is truncated or damaged: download it again"
        ) from exc


def map_file(name: str, file: BinaryIO) -> mmap.mmap:
    """Return a file as memory that the system may drop and read again; close the file.

    A file that is not on this machine is copied to a temporary file first.

    Raises:
        ArchiveCorrupt: it is empty.
    """
    with as_local_file(file) as local:
        if not local.seek(0, io.SEEK_END):
            raise ArchiveCorrupt(
                f"{name}: expected annotations in JSON, got an empty file; get it again"
            )
        return mmap.mmap(local.fileno(), 0, access=mmap.ACCESS_READ)


def as_local_file(file: BinaryIO) -> BinaryIO:
    """Return the file itself if it is on this machine, else a copy that closing it deletes."""
    try:
        file.fileno()
    except (OSError, AttributeError):
        return spool(file)
    return file


def _as_id(value: Any) -> int | None:
    """Return an id, or None: a bool is an int, and numbers above 64 bits do not fit the index."""
    return value if type(value) is int and abs(value) < _MAX_ID else None
