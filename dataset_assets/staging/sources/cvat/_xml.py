"""The XML of CVAT, versions 1.0 and 1.1, read as a stream of labels, images, tracks and shapes.

Each is returned as soon as it is complete and nothing is kept, so a file may exceed the memory.
What no annotation tool writes is refused before it costs anything: document types, entities and
external references, and elements that never end, nest without end, or are too many to draw.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-xml/
"""

from collections.abc import Iterator
from typing import BinaryIO, Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import iterparse

from dataset_assets.errors import ArchiveCorrupt

#: Of a file, unpacked.
MAX_BYTES = 4 << 30
MAX_ELEMENTS = 100_000_000
#: Of one shape: attributes, and points of a skeleton.
MAX_CHILDREN = 10_000
#: Bytes without an element that begins or ends.
_MAX_STEP = 16 << 20
_MAX_DEPTH = 32
_CHUNK_BYTES = 1 << 18
_NOT_CVAT = "this is no export of CVAT"
_SPLIT_HINT = "export the tasks one by one"

Kind = Literal["label", "original_size", "image", "track", "shape", "end"]
_GROUPS = frozenset({"image", "track"})
#: Elements of the head that are read with everything in them.
_WHOLE = frozenset({"label", "original_size"})


def read_events(file: BinaryIO, name: str) -> Iterator[tuple[Kind, Element]]:
    """Yield the content of a file in its order.

    Labels and the frame size of a video come first. Then each image or track as it begins (with
    attributes only), its shapes, and its end. An element is discarded when the next is asked for.

    Args:
        file: the XML.
        name: stands in error messages.

    Raises:
        ArchiveCorrupt: it is not XML, not of CVAT, or dangerous.
    """
    limited = _LimitedFile(file, name)
    try:
        yield from _EventReader(limited, name).read()
    except ArchiveCorrupt:
        raise
    except ParseError as exc:
        raise ArchiveCorrupt(
            f"{name}: expected XML as CVAT exports it, but it cannot be read ({exc}); "
            "export it again"
        ) from exc
    except (ValueError, LookupError) as exc:
        # What defusedxml refuses are ValueErrors, unknown encodings LookupErrors.
        reason = " ".join(str(exc).split())[:200]
        raise ArchiveCorrupt(
            f"{name}: expected XML without document types, entities and external references, as "
            f"CVAT exports it; got {reason}"
        ) from exc


class _LimitedFile:
    """A file that limits the bytes in all, and the bytes between two elements."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._total = 0
        #: Bytes since the last element; the reader of events resets it.
        self.step = 0

    def read(self, _: int = -1) -> bytes:
        # More than asked for: some parsers start a long element over with every chunk.
        data = self._file.read(_CHUNK_BYTES)
        self._total += len(data)
        self.step += len(data)
        if self._total > MAX_BYTES:
            raise ArchiveCorrupt(
                f"{self._name}: expected at most {MAX_BYTES >> 30} GiB of XML, got more; "
                f"{_SPLIT_HINT}"
            )
        if self.step > _MAX_STEP:
            raise ArchiveCorrupt(
                f"{self._name}: expected elements of at most {_MAX_STEP >> 20} MiB, "
                f"got a longer one; {_NOT_CVAT}"
            )
        return data


class _EventReader:
    """One pass over a file."""

    def __init__(self, file: _LimitedFile, name: str) -> None:
        self._file = file
        self._name = name
        #: Elements that have begun and not ended, from the root on.
        self._open: list[Element] = []
        self._count = 0
        #: Children kept for the element that is read as a whole.
        self._children = 0

    def read(self) -> Iterator[tuple[Kind, Element]]:
        """Yield what is complete, in order."""
        for event, element in iterparse(self._file, events=("start", "end"), forbid_dtd=True):
            self._file.step = 0
            if event == "start":
                self._enter(element)
                if len(self._open) == 2 and element.tag in _GROUPS:
                    yield element.tag, element
            else:
                self._open.pop()
                if kind := self._kind_of(element):
                    yield kind, element
                self._discard(element)

    def _enter(self, element: Element) -> None:
        self._open.append(element)
        self._count += 1
        if len(self._open) == 1 and element.tag != "annotations":
            self._refuse(
                f"expected the element <annotations>, got <{element.tag[:40]}>; "
                "this is no XML of CVAT"
            )
        if len(self._open) > _MAX_DEPTH:
            self._refuse(
                f"expected at most {_MAX_DEPTH} elements in one another, got more; {_NOT_CVAT}"
            )
        if self._count > MAX_ELEMENTS:
            self._refuse(f"expected at most {MAX_ELEMENTS:,} elements, got more; {_SPLIT_HINT}")

    def _kind_of(self, element: Element) -> Kind | None:
        """Return what kind of content an element is that has just ended; None for a part of one."""
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

    def _discard(self, element: Element) -> None:
        """Drop an element that has ended, unless it is part of one that is read as a whole."""
        if not self._open:
            return
        depth = len(self._open)
        in_shape = depth > 2 and self._open[1].tag in _GROUPS
        if not in_shape and (depth < 3 or all(each.tag not in _WHOLE for each in self._open)):
            self._open[-1].remove(element)
            self._children = 0
            return
        self._children += 1
        if self._children > MAX_CHILDREN:
            whole = self._open[2] if in_shape else self._open[-1]
            self._refuse(
                f"expected at most {MAX_CHILDREN:,} parts of one <{whole.tag[:40]}>, got more; "
                f"{_NOT_CVAT}"
            )

    def _refuse(self, problem: str) -> None:
        raise ArchiveCorrupt(f"{self._name}: {problem}")
