"""EXIF tags as the JSON text that img2dataset stores: `{"Image Make": "Canon", ...}`, "{}" without tags, None when they can not be read.

exifread reads them, with its slowest function replaced: half of its time goes into fetching numbers one by one.
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
#: exifread reads a tag with a handful of calls. A crafted file can ask for millions of tags; no camera comes near this.
_MAX_READS = 100_000
_MAX_CHARACTERS = 1_000_000
#: (byte order, bytes, signed) -> how to read the number
_NUMBERS = {
    (endian, size, signed): struct.Struct(order + (code if signed else code.upper()))
    for endian, order in (("I", "<"), ("M", ">"))
    for size, code in ((1, "b"), (2, "h"), (4, "i"))
    for signed in (False, True)
}


class _Limited(BytesIO):
    """A file that fails after so many reads."""

    reads = 0

    def count(self) -> None:
        """Count a read."""
        self.reads += 1
        if self.reads > _MAX_READS:
            raise OSError("EXIF data that would take for ever")

    def read(self, size: int | None = -1, /) -> bytes:
        self.count()
        return super().read(size)


def exif_json(body: bytes) -> str | None:
    """Return the EXIF tags of a file. Costs next to nothing when it has none; never raises."""
    try:
        if not read_header(body).has_exif:
            return NO_TAGS
    except RefusedImage:
        pass  # exifread knows formats that we do not, such as HEIC
    try:
        tags = exifread_module().process_file(_Limited(body), details=False)
        text = json.dumps(
            {name: str(value).strip() for name, value in tags.items() if value is not None}
        )
    except Exception:  # noqa: BLE001 - exifread raises whatever a damaged file makes its parser do
        return None
    return text if len(text) <= _MAX_CHARACTERS else None


@cache
def exifread_module() -> ModuleType:
    """Load exifread, once: a copy of its top module that is ours alone and reads numbers with `_Header`. Stop it from logging."""
    spec = find_spec("exifread")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("exifread")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    class _Header(module.ExifHeader):  # type: ignore[misc, name-defined]
        """Numbers come from the bytes at once, without a table, a seek and a read for each."""

        def s2n(self, offset: int, length: int, signed: bool = False) -> int:
            number, start = _NUMBERS.get((self.endian, length, signed)), self.offset + offset
            if number is None or start < 0:
                return super().s2n(offset, length, signed)  # type: ignore[no-any-return] # raises, in its own words
            self.file_handle.count()
            data = self.file_handle.getvalue()
            return number.unpack_from(data, start)[0] if start + length <= len(data) else 0

    module.ExifHeader = _Header  # type: ignore[attr-defined]
    logging.getLogger("exifread").setLevel(logging.CRITICAL)  # it warns of every file without tags
    return module
