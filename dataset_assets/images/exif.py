"""EXIF tags as the JSON text that img2dataset stores: `{"Image Make": "Canon", ...}`, "{}" without tags, None when they can not be read."""

import json
import logging
from functools import cache
from io import BytesIO
from typing import Any

from dataset_assets.images._base import RefusedImage
from dataset_assets.images.header import read_header

NO_TAGS = "{}"
#: exifread reads a tag with a handful of calls. A crafted file can ask for millions of tags; no camera comes near this.
_MAX_READS = 100_000
_MAX_CHARACTERS = 1_000_000


class _Limited(BytesIO):
    """A file that fails after so many reads."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > _MAX_READS:
            raise OSError("EXIF data that would take for ever")
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
        text = json.dumps({name: str(value).strip() for name, value in tags.items() if value is not None})
    except Exception:  # noqa: BLE001 - exifread raises whatever a damaged file makes its parser do
        return None
    return text if len(text) <= _MAX_CHARACTERS else None


@cache
def exifread_module() -> Any:
    """Import exifread, once, and stop it from logging."""
    import exifread

    logging.getLogger("exifread").setLevel(logging.CRITICAL)  # it warns of every file without tags
    return exifread
