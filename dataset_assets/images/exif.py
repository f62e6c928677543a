"""EXIF tags as the JSON text that img2dataset stores: `{"Image Make": "Canon", ...}`.

exifread reads the tags, with one function replaced: fetching numbers one by one takes half of its
time.
"""

import json
import logging
import struct
from functools import cache
from importlib.util import find_spec, module_from_spec
from io import BytesIO
from types import ModuleType

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


@cache
def load_exifread() -> ModuleType:
    """Load a copy of exifread that reads numbers with `_Header`; stop its logging."""
    spec = find_spec("exifread")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("exifread")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    class _Header(module.ExifHeader):  # type: ignore[misc, name-defined]
        """Reads numbers from the bytes, without a table, a seek and a read for each."""

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
