"""A large JSON document, read value by value in bounded memory.

The elements of an array and the members of an object are parsed one at a time; the document as a
whole never exists as Python objects. What the values mean is up to the caller.

Specification: https://www.rfc-editor.org/rfc/rfc8259
"""

import json
import re
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import Any, NamedTuple, Self

BLOCK = 1 << 20  # characters
# Characters after a value: a number that is cut at its "." or "e+" looks like a shorter one.
_UNCERTAIN = 3
_BOM = b"\xef\xbb\xbf"
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # missing in the stubs
_skip_space = re.compile(r"[ \t\n\r]*").match


class JsonError(ValueError):
    """A text that is no JSON, or not the document that the caller expects."""

    def __init__(self, expected: str, position: int, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.position = position
        self.got = got


class JsonValue(NamedTuple):
    """A parsed value and where it is in the document."""

    value: Any
    start: int
    end: int


class JsonStream:
    """Reads a document from the front to the end.

    Positions count characters; those of `of_bytes` count bytes. Every method raises `JsonError`
    where the document is not what the method reads.

    Args:
        read: returns up to so many further characters, "" at the end.
        largest: characters that a value may have.
    """

    def __init__(self, read: Callable[[int], str], *, largest: int) -> None:
        self._read = read
        self._largest = largest
        self._text = ""  # the part of the document that is being read
        self._start = 0  # position of that part
        self._at = 0  # of the next character, within that part
        self._is_whole = False  # whether the part reaches to the end of the document
        self._is_utf8 = False  # whether the characters are the bytes of UTF-8

    @classmethod
    def of_bytes(cls, data: bytes | mmap, *, largest: int) -> Self:
        """Read a document in UTF-8, with or without a byte order mark."""
        start = position = len(_BOM) if data[: len(_BOM)] == _BOM else 0

        def read(size: int) -> str:
            # As Latin-1, since the structure of JSON is ASCII: a character is a byte.
            nonlocal position
            text = str(data[position : position + size], "latin-1")
            position += len(text)
            return text

        stream = cls(read, largest=largest)
        stream._start = start
        stream._is_utf8 = True
        return stream

    def peek(self) -> str:
        """Return the next character after spaces, "" at the end."""
        while True:
            character = self._text[self._at : self._at + 1]
            if character > " ":
                return character
            self._at = _skip_space(self._text, self._at).end()  # type: ignore[union-attr]  # matches ""
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_whole:
                return ""
            self._read_on()

    def take(self, character: str) -> None:
        """Skip the next character, which must be this one."""
        if self.peek() != character:
            raise self.error(repr(character))
        self._at += 1

    def read_value(self) -> JsonValue:
        """Read one value."""
        self.peek()
        while (found := self._parse()) is None:
            if self._is_whole or len(self._text) - self._at > self._largest:
                raise self.error("a JSON value")
            self._read_on()
        value, end = found
        start = self._at
        if self._is_utf8 and not self._text[start:end].isascii():
            value = self._from_utf8(start, end)
        self._at = end
        return JsonValue(value, self._start + start, self._start + end)

    def read_array(self) -> Iterator[JsonValue]:
        """Read an array, element by element."""
        yield from self._items("[", "]", self.read_value)

    def read_keys(self) -> Iterator[str]:
        """Read an object, key by key: read the value of a key before you ask for the next."""
        yield from self._items("{", "}", self._key)

    def check_end(self) -> None:
        """Check that nothing follows."""
        if self.peek():
            raise self.error("the end")

    def read_rest(self, limit: int) -> str:
        """Return what is left of the document, no more than about `limit` characters."""
        return self._text[self._at :] + self._read(limit)

    def error(self, expected: str) -> JsonError:
        """Return the error for the next character."""
        got = repr(self._text[self._at : self._at + 40]) if self.peek() else "the end"
        return JsonError(expected, self._start + self._at, got)

    def _items(self, first: str, last: str, item: Callable[[], Any]) -> Iterator[Any]:
        self.take(first)
        if self.peek() == last:
            self._at += 1
            return
        while True:
            yield item()
            separator = self.peek()
            if separator not in (",", last):
                raise self.error(f"',' or {last!r}")
            self._at += 1
            if separator == last:
                return

    def _key(self) -> str:
        if self.peek() != '"':
            raise self.error("a key")
        key: str = self.read_value().value
        self.take(":")
        return key

    def _parse(self) -> tuple[Any, int] | None:
        """Parse the next value and return its end, None if more text may change the result."""
        try:
            value, end = _scan(self._text, self._at)
        except (ValueError, RecursionError, StopIteration):
            return None
        is_certain = self._is_whole or end + _UNCERTAIN < len(self._text)
        return (value, end) if is_certain else None

    def _from_utf8(self, start: int, end: int) -> Any:
        try:
            return json.loads(self._text[start:end].encode("latin-1"))
        except ValueError as exc:
            raise self.error("text in UTF-8") from exc

    def _read_on(self) -> None:
        """Read as much as is left unparsed, so that no long value is parsed for each block."""
        rest = self._text[self._at :]
        more = self._read(max(BLOCK, len(rest)))
        self._is_whole = not more
        self._start += self._at
        self._text = rest + more
        self._at = 0
