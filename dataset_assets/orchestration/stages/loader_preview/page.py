"""Metadata of `loader_preview`: the drawn batch, its shapes, classes and loader metrics."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.storage.store import Store

if TYPE_CHECKING:
    from dataset_assets.pipelines.preview.batch import Preview

DRAWING = "batch.jpg"
_INLINE_BYTES = 9000


def preview_metadata(store: Store, preview: "Preview") -> dict[str, Any]:
    """Describe a batch, and write its drawing to the store."""
    from dataset_assets.images.contact_sheet import shrink_sheet  # loads OpenCV

    store.write(DRAWING, preview.drawing)
    total = sum(preview.labels.values())
    by_count = sorted(preview.labels.items(), key=lambda item: -item[1])
    classes = (
        {"class": name, "count": count, "share": metadata.share(count, total)}
        for name, count in by_count
    )
    ignored = (
        {"label": label, "images": images} for label, images in preview.unknown_labels.items()
    )
    return {
        "batch": metadata.inline_image(shrink_sheet(preview.drawing, max_bytes=_INLINE_BYTES)),
        "image": metadata.link(store.locate(DRAWING)),
        "keys": ", ".join(preview.keys),
        **preview.shapes,
        "classes in the batch": metadata.table(classes),
        "ignored labels": metadata.table(ignored),
        "loader": dg.MetadataValue.json(preview.metrics),
    }
