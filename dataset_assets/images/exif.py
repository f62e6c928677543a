"""EXIF tags as the JSON text that img2dataset stores: `{"Image Make": "Canon", ...}`.

exifread names the tags and says what they mean. Their values are read from the bytes at once:
fetching numbers one by one takes two thirds of its time.
"""

import json
import logging
import struct
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from io import BytesIO
from types import ModuleType
from typing import Any, NamedTuple

from dataset_assets.images.header import read_header
from dataset_assets.images.pixels import RefusedImage

NO_TAGS = "{}"
#: exifread needs a few reads per tag. No camera comes near this; a crafted file has millions.
_MAX_READS = 100_000
_MAX_CHARACTERS = 1_000_000
#: (byte order, bytes, signed) -> format of the number
_NUMBERS = {
    (endian, size, signed): struct.Struct(order + (code if signed else code.upper()))
    for endian, order in (("I", "<"), ("M", ">"))
    for size, code in ((1, "b"), (2, "h"), (4, "i"))
    for signed in (False, True)
}
_ORDERS = {"I": "<", "M": ">"}
#: Byte order -> format of an entry after its tag: type, count, value or its place.
_ENTRIES = {endian: struct.Struct(f"{order}HII") for endian, order in _ORDERS.items()}
_ENTRY_BYTES = 12
_INLINE_BYTES = 4
_ASCII = 2
_RATIOS = frozenset({5, 10})
#: Type -> format of one value, two numbers for a fraction.
_CODES = {
    1: "B",
    2: "s",
    3: "H",
    4: "I",
    5: "II",
    6: "b",
    7: "B",
    8: "h",
    9: "i",
    10: "ii",
    13: "I",
}
_SIZES = {kind: struct.calcsize(f"={code}") for kind, code in _CODES.items()}
#: exifread has rules of its own for more values.
_MAX_VALUES = 50


class _Limited(BytesIO):
    """A file that fails after `_MAX_READS` reads."""

    reads = 0

    def count(self) -> None:
        """Count a read."""
        self.reads += 1
        if self.reads > _MAX_READS:
            raise OSError(f"EXIF data: expected at most {_MAX_READS} reads, got more")

    def read(self, size: int | None = -1, /) -> bytes:
        self.count()
        return super().read(size)


def read_exif(body: bytes) -> str | None:
    """Return the EXIF tags: "{}" if there are none, None if they cannot be read. Never raises."""
    try:
        if not read_header(body).has_exif:
            return NO_TAGS
    except RefusedImage:
        pass  # exifread knows other formats too, such as HEIC
    try:
        tags = load_exifread().process_file(_Limited(body), details=False)
        texts = {name: str(value).strip() for name, value in tags.items() if value is not None}
        text = json.dumps(texts)
    except Exception:  # noqa: BLE001 - damaged files raise any exception in exifread
        return None
    return text if len(text) <= _MAX_CHARACTERS else None


def _decoded(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


class _Found(NamedTuple):
    """The values of an entry, as exifread keeps them."""

    kind: int
    values: Any
    offset: int
    length: int
    number: int


def _read_values(data: bytes, endian: str, base: int, entry: int) -> _Found | None:
    """Read an entry; None: exifread has to."""
    kind, count, place = _ENTRIES[endian].unpack_from(data, base + entry + 2)
    length = _SIZES.get(kind, 0) * count
    offset = place if length > _INLINE_BYTES else entry + 8
    first = base + offset
    if not length or first + length > len(data):
        return None
    if kind == _ASCII:
        text = data[first : first + count].split(b"\0", 1)[0]
        return _Found(kind, _decoded(text), offset, length, count)
    if count > _MAX_VALUES:
        return None
    numbers = struct.unpack_from(_ORDERS[endian] + _CODES[kind] * count, data, first)
    values = list(numbers)
    if kind in _RATIOS:
        from exifread.utils import Ratio

        values = [Ratio(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
    return _Found(kind, values, offset, length, count)


@cache
def load_exifread() -> ModuleType:
    """Load a copy of exifread that reads numbers with `_Header`; stop its logging."""
    spec = find_spec("exifread")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("exifread")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    ifd_tag = import_module("exifread.core.ifd_tag").IfdTag

    class _Header(module.ExifHeader):  # type: ignore[misc, name-defined]
        """Reads the values of an entry from the bytes at once.

        What is unusual is left to exifread: places outside of the file, many values, floats.
        """

        def _process_tag(self, *entry: Any) -> None:
            ifd, ifd_name, tag_entry, start, tag, tag_name, is_relative, stop_tag = entry
            del ifd
            found = None if is_relative or self.strict else self._read_entry(start)
            if found is None:
                super()._process_tag(*entry)
                return
            printable, is_printable = self._get_printable_for_field(
                found.number, found.values, found.kind, tag_entry, stop_tag
            )
            self.tags[f"{ifd_name} {tag_name}"] = ifd_tag(
                printable, tag, found.kind, found.values, found.offset, found.length, is_printable
            )

        def _read_entry(self, entry: int) -> "_Found | None":
            self.file_handle.count()
            data = self.file_handle.getvalue()
            start = self.offset + entry
            if self.endian not in _ORDERS or not 0 <= start <= len(data) - _ENTRY_BYTES:
                return None
            return _read_values(data, self.endian, self.offset, entry)

        def s2n(self, offset: int, length: int, signed: bool = False) -> int:
            number = _NUMBERS.get((self.endian, length, signed))
            start = self.offset + offset
            if number is None or start < 0:
                return super().s2n(offset, length, signed)  # type: ignore[no-any-return]
            self.file_handle.count()
            data = self.file_handle.getvalue()
            return number.unpack_from(data, start)[0] if start + length <= len(data) else 0

    module.ExifHeader = _Header  # type: ignore[attr-defined]
    logging.getLogger("exifread").setLevel(logging.CRITICAL)  # warns of every file without tags
    return module
