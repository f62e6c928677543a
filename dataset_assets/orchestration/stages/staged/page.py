"""Metadata of a partition of `staged`: counts, classes, terms, and images with their labels."""

from dataclasses import asdict
from itertools import islice
from typing import Any

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.contact_sheets import SAMPLES, contact_sheet_metadata
from dataset_assets.pipelines.stage.stage import StageReport
from dataset_assets.records.staged import StagedDataset
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import Store

_SHOWN_CLASSES = 50


def staged_metadata(store: Store, report: StageReport) -> dict[str, Any]:
    """Describe a partition, and write a contact sheet next to its shards. Idempotent."""
    dataset = report.dataset
    manifest = report.manifest
    files = [file for shard in manifest.shards for file in shard.files]
    return (
        {
            "dagster/partition_row_count": dataset.rows,
            "dagster/uri": store.url,
            "samples": dataset.samples,
            "success rate": metadata.share(dataset.samples, dataset.rows),
            "causes": metadata.causes_table(dataset.causes, dataset.rows),
            "warnings": metadata.table(
                {"what": what, "count": count} for what, count in dataset.warnings.items()
            ),
            "classes": classes_table(dataset),
            "license": f"{dataset.license.name}, {dataset.license.url}",
            "redistributable": dataset.license.redistributable,
            "archives": metadata.table(
                {"archive": name, "digest": digest[:16]}
                for name, digest in dataset.archives.items()
            ),
            "manifest": metadata.link(store.locate(MANIFEST)),
            "shards": len(manifest.shards),
            "shards made": report.made,
            "shards kept": report.skipped,
            "bytes stored": sum(file.bytes for file in files),
        }
        | _abilities(store)
        | _contact_sheet(store, report)
    )


def classes_table(dataset: StagedDataset) -> dg.MetadataValue:
    """Show how often each class occurs, those with the most pixels first."""
    total = sum(count for label, count in dataset.pixels.items() if label != "0")
    classes = sorted(
        dataset.classes, key=lambda each: (-dataset.pixels.get(str(each.id), 0), each.id)
    )
    return metadata.table(
        {
            "class": each.name,
            "label": each.id,
            "category": each.category,
            "images": dataset.images.get(str(each.id), 0),
            "pixels": dataset.pixels.get(str(each.id), 0),
            "share": metadata.share(dataset.pixels.get(str(each.id), 0), total),
        }
        for each in islice(classes, _SHOWN_CLASSES)
    )


def _abilities(store: Store) -> dict[str, Any]:
    """Show which features an S3 server supports; nothing for other stores."""
    probe = getattr(store, "capabilities", None)
    if probe is None:
        return {}
    return {"store can": dg.MetadataValue.json(asdict(probe()))}


def _contact_sheet(store: Store, report: StageReport) -> dict[str, Any]:
    """Show some samples with their labels drawn over them."""
    if report.manifest.output_format != "webdataset":
        return {}
    from dataset_assets.pipelines.preview.staged_images import draw_samples  # loads OpenCV

    return contact_sheet_metadata(
        store, lambda: draw_samples(store, report.manifest, report.dataset, SAMPLES)
    )
