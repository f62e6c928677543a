"""A look at samples on the page of an asset: a small sheet inline, a large one in the store."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from dataset_assets.errors import DatasetAssetsError, ObjectMissing
from dataset_assets.orchestration.common import metadata
from dataset_assets.storage.store import Store

logger = logging.getLogger(__name__)

#: How many samples are worth loading for a sheet.
SAMPLES = 32
_SHEET = "contact_sheet.jpg"
_INLINE_BYTES = 6000  # of every partition, in the event log


def contact_sheet_metadata(store: Store, load: Callable[[], Sequence[bytes]]) -> dict[str, Any]:
    """Draw the images that `load` returns. Nothing without images; a sheet that can not be made is not worth a failed run. Idempotent."""
    # Brings OpenCV.
    from dataset_assets.images.contact_sheet import draw_contact_sheet, draw_inline_sheet

    try:
        images = load()
        if not images:
            return {}
        _write_once(store, draw_contact_sheet(images, format="jpg"))
        inline = draw_inline_sheet(images, rows=1, max_bytes=_INLINE_BYTES)
    except (DatasetAssetsError, pa.ArrowException) as exc:
        logger.warning("no contact sheet for %s: %s", store.url, exc)
        return {}
    return {
        "contact sheet": metadata.link(store.locate(_SHEET)),
        "samples seen": metadata.picture(inline),
    }


def _write_once(store: Store, data: bytes) -> None:
    try:
        if store.read(_SHEET) == data:
            return
    except ObjectMissing:
        pass  # the usual case: it is written now
    store.write(_SHEET, data, durable=False)
