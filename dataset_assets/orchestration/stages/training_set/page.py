"""Metadata of `training_set`: buckets, samples with captions, causes, the cost of embeddings."""

from typing import Any

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.contact_sheets import SAMPLES, contact_sheet_metadata
from dataset_assets.records.training_sets import SUMMARY, TrainingSetSummary
from dataset_assets.storage.store import Store

_CAPTIONED = 12


def training_set_metadata(store: Store, summary: TrainingSetSummary) -> dict[str, Any]:
    """Describe a set, and write a contact sheet next to it. Idempotent."""
    # Loads OpenCV.
    from dataset_assets.training.open_training_set import open_training_set

    samples = open_training_set(store.url)
    spread = _spread(len(samples), SAMPLES)
    shown = [samples.samples[position] for position in spread[:_CAPTIONED]]
    pictures = {}
    if summary.medium == "image":
        pictures = contact_sheet_metadata(store, lambda: [samples.read(each) for each in spread])
    return pictures | {
        "dagster/row_count": summary.samples,
        "dagster/uri": store.url,
        "layout": summary.layout,
        "because": metadata.plain_text(summary.because),
        "buckets": metadata.table(
            {"bucket": bucket, "samples": count, "share": metadata.share(count, summary.samples)}
            for bucket, count in sorted(summary.buckets.items(), key=lambda item: -item[1])
        ),
        "captioned samples": metadata.table(
            {"key": sample.key, "caption": next(iter(sample.captions.values()), "")}
            for sample in shown
        ),
        "skipped": metadata.causes_table(
            summary.skipped, summary.samples + sum(summary.skipped.values())
        ),
        "embeddings would take": metadata.table(
            {"kind": kind, "bytes": count} for kind, count in summary.embedding_bytes.items()
        ),
        "payload bytes": summary.payload_bytes,
        "summary": metadata.link(store.locate(SUMMARY)),
        "options": dg.MetadataValue.json(summary.options),
    }


def _spread(count: int, most: int) -> list[int]:
    """Return at most `most` positions at equal distances."""
    step = max(1, count // most)
    return list(range(0, count, step))[:most]
