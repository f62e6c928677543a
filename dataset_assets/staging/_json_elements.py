"""A large JSON document, element by element: an object of lists, as COCO's annotation files are, read without ever holding it as Python objects.

The bytes are looked at through a window, as Latin-1: what gives JSON its shape is ASCII, so a place in the text is a place in the file.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from dataset_assets.errors import ArchiveCorrupt

_WINDOW = 1 << 22  # bytes
_LARGEST = 1 << 28  # of one element
_UNSURE = (
    3  # bytes behind a value: a number whose "e+" or "." is cut there looks like a shorter one
)
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_BOM = b"\xef\xbb\xbf"


class Buffer(Protocol):
    """Bytes, or a file in memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class Element(NamedTuple):
    """An element of a list of the document, or the value of a key that has no list."""

    section: str  # the key
    start: int  # byte
    end: int
    value: Any


def elements(data: Buffer, name: str) -> Iterator[Element]:
    """Yield the elements of all lists of a document, in its order. Memory: a few MiB, or some times the largest element.

    Raises:
        ArchiveCorrupt: it is no JSON object in UTF-8, is cut, or has an element above 256 MiB.
    """
    window = _Window(data, name)
    window.take("{")
    more = window.peek() != "}"
    while more:
        if window.peek() != '"':
            raise window.error("a key")
        section = window.value("").value
        window.take(":")
        if window.peek() == "[":
            yield from _list(window, section)
        else:
            yield window.value(section)
        more = window.peek() == ","
        if more:
            window.take(",")
    window.take("}")
    if window.peek():
        raise window.error("its end")


def _list(window: "_Window", section: str) -> Iterator[Element]:
    window.take("[")
    more = window.peek() != "]"
    while more:
        yield window.value(section)
        more = window.peek() == ","
        if more:
            window.take(",")
    window.take("]")


class _Window:
    """The part of a document that is being read."""

    def __init__(self, data: Buffer, name: str) -> None:
        self._data, self._name = data, name
        self._bytes = len(data)
        self._load(len(_BOM) if data[: len(_BOM)] == _BOM else 0, _WINDOW)

    def _load(self, start: int, size: int) -> None:
        self._start, self._at = start, 0
        self._text = str(self._data[start : start + size], "latin-1")
        self._is_last = start + len(self._text) == self._bytes

    def peek(self) -> str:
        """Return the next character that is no space; "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches everywhere
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_last:
                return ""
            self._load(self._start + self._at, _WINDOW)

    def take(self, character: str) -> None:
        """Go behind a character that must come now."""
        if self.peek() != character:
            raise self.error(repr(character))
        self._at += 1

    def value(self, section: str) -> Element:
        """Read one value. The window grows where it cuts it."""
        self.peek()
        size = _WINDOW
        while (found := self._parse()) is None:
            if self._is_last or size > _LARGEST:
                raise self.error("a JSON value")
            self._load(self._start + self._at, size)
            size *= 2
        value, end = found
        start, self._at = self._at, end
        if not self._text[start:end].isascii():
            value = self._in_utf8(start, end)
        return Element(section, self._start + start, self._start + end, value)

    def _parse(self) -> tuple[Any, int] | None:
        """Parse what comes and say where it ends; None where the window may have cut it."""
        try:
            value, end = _DECODER.raw_decode(self._text, self._at)
        except (ValueError, RecursionError):
            return None
        return (value, end) if self._is_last or end + _UNSURE < len(self._text) else None

    def _in_utf8(self, start: int, end: int) -> Any:
        try:
            return json.loads(self._text[start:end].encode("latin-1"))
        except ValueError as exc:
            self._at = start
            raise self.error("text in UTF-8") from exc

    def error(self, expected: str) -> ArchiveCorrupt:
        """Return the error that says what is wrong at this place."""
        came = (
            repr(self._text[self._at : self._at + 40]) if self._at < len(self._text) else "its end"
        )
        return ArchiveCorrupt(
            f"{self._name}: expected {expected} at byte {self._start + self._at:,} of {self._bytes:,}, came {came}; it is cut or damaged: get it again"
        )
