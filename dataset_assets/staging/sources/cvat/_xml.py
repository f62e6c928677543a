"""The XML of CVAT, versions 1.0 and 1.1, read as a stream: labels, images, tracks and their shapes, each as soon as it is complete.

Nothing that was read is kept, so a file may be larger than the memory. What no annotation tool writes is refused before it costs anything: document
types, entities and external references, and elements that never end, nest without end or come in numbers that no machine could draw.
Format: https://docs.cvat.ai/docs/dataset_management/formats/format-xml/
"""

from collections.abc import Iterator
from typing import BinaryIO, Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import iterparse

from dataset_assets.errors import ArchiveCorrupt

MAX_BYTES = 4 << 30  # of a file, unpacked
MAX_ELEMENTS = 100_000_000
MAX_CHILDREN = 10_000  # of one shape: attributes, and points of a skeleton
_MAX_STEP = 16 << 20  # bytes without an element that begins or ends
_MAX_DEPTH = 32
_CHUNK = 1 << 18

Kind = Literal["label", "original_size", "image", "track", "shape", "end"]
_GROUPS = frozenset({"image", "track"})
_WHOLE = frozenset(
    {"label", "original_size"}
)  # elements of the head that are read with everything in them


def read(file: BinaryIO, name: str) -> Iterator[tuple[Kind, Element]]:
    """Read a file in its order: labels and the size of a video's frames; then each image or track as it begins, its shapes, and its end.

    An element is complete, but for one that begins (image, track: attributes only); it is emptied once the next one is asked for.

    Raises:
        ArchiveCorrupt: it is not XML, not of CVAT, or dangerous. `name` stands in the message.
    """
    guarded = _Guarded(file, name)
    try:
        yield from _Walk(guarded, name).run()
    except ParseError as exc:
        raise ArchiveCorrupt(
            f"{name}: expected XML as CVAT exports it, but it can not be read ({exc}); export it again"
        ) from exc
    except (
        ValueError,
        LookupError,
    ) as exc:  # defusedxml's refusals are ValueErrors, unknown encodings LookupErrors
        if isinstance(exc, ArchiveCorrupt):
            raise
        why = " ".join(str(exc).split())[:200]
        raise ArchiveCorrupt(
            f"{name}: expected XML without document types, entities and external references, as CVAT exports it; came {why}"
        ) from exc


class _Guarded:
    """A file that says no when too many bytes come, or too many bytes between two elements."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._total = self.step = 0

    def read(self, _: int = -1) -> bytes:
        data = self._file.read(
            _CHUNK
        )  # more than asked for: some parsers begin a long element anew with every chunk
        self._total += len(data)
        self.step += len(data)
        if self._total > MAX_BYTES:
            raise ArchiveCorrupt(
                f"{self._name}: expected at most {MAX_BYTES >> 30} GiB of XML, came more; export the tasks one by one"
            )
        if self.step > _MAX_STEP:
            raise ArchiveCorrupt(
                f"{self._name}: expected elements of at most {_MAX_STEP >> 20} MiB, came a longer one; this is no export of CVAT"
            )
        return data


class _Walk:
    """One pass over a file."""

    def __init__(self, file: _Guarded, name: str) -> None:
        self._file, self._name = file, name
        self._open: list[Element] = []
        self._elements = self._kept = 0

    def run(self) -> Iterator[tuple[Kind, Element]]:
        for event, element in iterparse(self._file, events=("start", "end"), forbid_dtd=True):
            self._file.step = 0
            if event == "start":
                self._enter(element)
                if len(self._open) == 2 and element.tag in _GROUPS:
                    yield element.tag, element
            else:
                self._open.pop()
                if kind := self._kind(element):
                    yield kind, element
                self._forget(element)

    def _enter(self, element: Element) -> None:
        self._open.append(element)
        self._elements += 1
        if len(self._open) == 1 and element.tag != "annotations":
            self._refuse(
                f"expected the element <annotations>, came <{element.tag[:40]}>; this is no XML of CVAT"
            )
        if len(self._open) > _MAX_DEPTH:
            self._refuse(
                f"expected at most {_MAX_DEPTH} elements in one another, came more; this is no export of CVAT"
            )
        if self._elements > MAX_ELEMENTS:
            self._refuse(
                f"expected at most {MAX_ELEMENTS:,} elements, came more; export the tasks one by one"
            )

    def _kind(self, element: Element) -> Kind | None:
        """Return what has just ended, when it is something to tell."""
        depth = len(self._open)
        if depth == 2 and self._open[1].tag in _GROUPS:
            return "shape"
        if depth == 1 and element.tag in _GROUPS:
            return "end"
        if depth > 2 and self._open[1].tag == "meta":
            if element.tag == "label" and self._open[-1].tag == "labels":
                return "label"
            if element.tag == "original_size":
                return "original_size"
        return None

    def _forget(self, element: Element) -> None:
        """Drop what has ended, unless it belongs to something that is read as a whole."""
        if not self._open:
            return
        in_shape = len(self._open) > 2 and self._open[1].tag in _GROUPS
        if len(self._open) < 3 or not (in_shape or any(each.tag in _WHOLE for each in self._open)):
            self._open[-1].remove(element)
            self._kept = 0
            return
        self._kept += 1
        if self._kept > MAX_CHILDREN:
            whole = self._open[2 if in_shape else -1].tag[:40]
            self._refuse(
                f"expected at most {MAX_CHILDREN:,} parts of one <{whole}>, came more; this is no export of CVAT"
            )

    def _refuse(self, why: str) -> None:
        raise ArchiveCorrupt(f"{self._name}: {why}")
