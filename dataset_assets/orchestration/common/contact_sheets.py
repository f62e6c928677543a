"""Contact sheets for the page of an asset: a small one inline, a large one in the store."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from dataset_assets.errors import DatasetAssetsError, ObjectMissing
from dataset_assets.orchestration.common import metadata
from dataset_assets.storage.store import Store

logger = logging.getLogger(__name__)

#: Number of samples that are loaded for a sheet.
SAMPLES = 32
_SHEET = "contact_sheet.jpg"
# Stored in the event log once for each partition.
_INLINE_BYTES = 6000


def contact_sheet_metadata(store: Store, load: Callable[[], Sequence[bytes]]) -> dict[str, Any]:
    """Draw encoded images and return the metadata that shows them; {} if there are none.

    Idempotent: an equal sheet in the store is not written again. A failure is logged and never
    fails the step.
    """
    # Loads OpenCV.
    from dataset_assets.images.contact_sheet import draw_contact_sheet, draw_inline_sheet

    try:
        images = load()
        if not images:
            return {}
        _write_if_changed(store, draw_contact_sheet(images, format="jpg"))
        inline = draw_inline_sheet(images, rows=1, max_bytes=_INLINE_BYTES)
    except (DatasetAssetsError, pa.ArrowException) as exc:
        logger.warning("no contact sheet for %s: %s", store.url, exc)
        return {}
    return {
        "contact sheet": metadata.link(store.locate(_SHEET)),
        "samples seen": metadata.inline_image(inline),
    }


def _write_if_changed(store: Store, data: bytes) -> None:
    try:
        if store.read(_SHEET) == data:
            return
    except ObjectMissing:
        pass
    store.write(_SHEET, data, durable=False)
